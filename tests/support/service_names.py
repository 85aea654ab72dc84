"""The names of the gRPC services, as their contracts have them."""

from __future__ import annotations

from thumbwheel.admin.v1 import admin_pb2
from thumbwheel.feedback.v1 import feedback_pb2
from thumbwheel.inference.v1 import inference_pb2

INFERENCE_SERVICE = inference_pb2.DESCRIPTOR.services_by_name["InferenceService"].full_name
FEEDBACK_SERVICE = feedback_pb2.DESCRIPTOR.services_by_name["FeedbackService"].full_name
ADMIN_SERVICE = admin_pb2.DESCRIPTOR.services_by_name["AdminService"].full_name
