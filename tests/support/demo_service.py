"""A small service in memory behind real gRPC ports: genuine tokens, statuses and rules, no model and no disk.

It answers by rules a test can foresee: `topics` names the label whose name is in the text, `helpdesk` repeats the
question politely, word by word.
"""

from __future__ import annotations

from concurrent import futures
from dataclasses import dataclass

import grpc
from demo_admin import Admin
from demo_feedback import FeedbackDoor
from demo_inference import Inference
from demo_world import World

from thumbwheel.admin.v1.admin_pb2_grpc import add_AdminServiceServicer_to_server
from thumbwheel.feedback.v1.feedback_pb2_grpc import add_FeedbackServiceServicer_to_server
from thumbwheel.inference.v1.inference_pb2_grpc import add_InferenceServiceServicer_to_server


@dataclass(frozen=True)
class DemoService:
    """A running service."""

    world: World
    target: str
    server: grpc.Server

    @classmethod
    def start(cls) -> DemoService:
        """Serve everything on one free port."""
        world = World()
        server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
        add_InferenceServiceServicer_to_server(Inference(world), server)
        add_FeedbackServiceServicer_to_server(FeedbackDoor(world), server)
        add_AdminServiceServicer_to_server(Admin(world), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        return cls(world, f"127.0.0.1:{port}", server)

    def stop(self) -> None:
        self.world.stream_gate.set()
        self.server.stop(grace=1).wait()
