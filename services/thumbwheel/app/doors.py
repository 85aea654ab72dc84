"""The gRPC doors of a process: servicers with what they need, ready to be registered with a host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from thumbwheel.admin.erasure import Eraser
from thumbwheel.admin.ports import Loop, ServiceFacts
from thumbwheel.admin.servicer import AdminServicer
from thumbwheel.admin.v1.admin_pb2 import DESCRIPTOR as ADMIN_FILE
from thumbwheel.admin.v1.admin_pb2_grpc import add_AdminServiceServicer_to_server
from thumbwheel.app.identity import Identity
from thumbwheel.app.learning import RunCopies
from thumbwheel.app.outboxes import replicas_dir, shipping
from thumbwheel.app.storage import Storage
from thumbwheel.bus.port import RecordAppender
from thumbwheel.config.settings import Settings
from thumbwheel.feedback.clock import ServerClock
from thumbwheel.feedback.corrections import Corrections
from thumbwheel.feedback.limits import RaterLimits
from thumbwheel.feedback.progress import IngestProgress, Others
from thumbwheel.feedback.servicer import FeedbackServicer
from thumbwheel.feedback.v1.feedback_pb2 import DESCRIPTOR as FEEDBACK
from thumbwheel.feedback.v1.feedback_pb2_grpc import add_FeedbackServiceServicer_to_server
from thumbwheel.feedback.voters import Voters
from thumbwheel.feedback.votes import IngestedVotes
from thumbwheel.hosts.local import ADMIN, Registration
from thumbwheel.inference.beside import Beside
from thumbwheel.inference.request_log import RequestLog
from thumbwheel.inference.servicer import InferenceServicer
from thumbwheel.inference.swap import ServedPolicies
from thumbwheel.inference.v1.inference_pb2 import DESCRIPTOR as INFERENCE
from thumbwheel.inference.v1.inference_pb2_grpc import add_InferenceServiceServicer_to_server
from thumbwheel.records import PolicyKind, Scope
from thumbwheel.registry.artifacts.reports import open_reports
from thumbwheel.telemetry.metrics import Metrics

INFERENCE_SERVICE = INFERENCE.services_by_name["InferenceService"].full_name
ADMIN_SERVICE = ADMIN_FILE.services_by_name["AdminService"].full_name
FEEDBACK_SERVICE = FEEDBACK.services_by_name["FeedbackService"].full_name


def request_log_of(appender: RecordAppender, identity: Identity, metrics: Metrics) -> RequestLog:
    """Log answers by `appender`, stamped so that only who got one can rate it."""
    return RequestLog(appender, identity.signer, identity.raters, metrics.log)


def inference_door(
    settings: Settings,
    request_log: RequestLog,
    policies: ServedPolicies,
    metrics: Metrics,
    beside: Beside | None = None,
) -> Registration:
    """Answer requests with what `policies` serve, logged in `request_log`; `beside` is for who else looks at it."""
    beside = beside or Beside.of(policies, settings.canary, metrics.shadow, settings.auth.asks_per_user_per_minute)
    servicer = InferenceServicer(
        policies, request_log, settings.generate, settings.classify, settings.tag, metrics.queue, beside
    )
    add = partial(add_InferenceServiceServicer_to_server, servicer)
    return Registration(INFERENCE_SERVICE, add, scope=Scope.INFER)


def feedback_door(
    settings: Settings, storage: Storage, identity: Identity, policies: ServedPolicies, metrics: Metrics
) -> Registration:
    """Take votes on answers of `policies` into the log."""
    limits, anonymous = (RaterLimits(settings.feedback.max_per_rater_per_minute) for _ in range(2))
    voters = Voters(identity.signer, identity.raters, limits, anonymous)
    progress = _progress(storage)
    lookup = IngestedVotes(storage.store, progress)

    def kind_of(policy: str) -> PolicyKind | None:
        return next((one.kind for one in policies.known() if one.policy == policy), None)

    def labels_of(policy: str, version: str) -> Sequence[str]:
        served = (one for one in policies.served(policy) if one.ref.version == version)
        return next((one.engine.limits.labels for one in served), ())

    corrections = Corrections(kind_of, labels_of, storage.store, progress)
    servicer = FeedbackServicer(voters, storage.votes, lookup, ServerClock(), metrics.feedback, corrections)
    add = partial(add_FeedbackServiceServicer_to_server, servicer)
    return Registration(FEEDBACK_SERVICE, add, scope=Scope.FEEDBACK)


def admin_door(
    settings: Settings,
    storage: Storage,
    identity: Identity,
    loop: Loop,
    facts: ServiceFacts,
    moved: Callable[[], None],
) -> Registration:
    """Let operators look and decide; `moved` is called when a channel was moved.

    Erasing waits for what replicas of this machine have in their outboxes, too, or left there.
    """
    copies = RunCopies(settings.runs_dir, open_reports(settings))
    others = partial(shipping, replicas_dir(settings))
    eraser = Eraser(identity.raters, _progress(storage, others), storage.source, storage.store, copies)
    servicer = AdminServicer(storage.registry, storage.store, loop, eraser, facts, moved)
    return Registration(ADMIN_SERVICE, partial(add_AdminServiceServicer_to_server, servicer), ADMIN, Scope.ADMIN)


def _progress(storage: Storage, others: Others | None = None) -> IngestProgress:
    return IngestProgress(storage.store, storage.source, others=others)
