"""The catalogue of metrics: every one with its labels, its unit, what it means and what to do about it.

A `Metrics` object owns its registry and is handed to whoever counts (often only one group of it); nothing is
global. A new metric is one more attribute of the group it belongs to.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from thumbwheel.telemetry.families import Buckets, Catalogue, Instruments, PrometheusInstruments, Spec
from thumbwheel.telemetry.trial_metrics import ShadowMetrics, TrialMetrics

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_LATENCY = Buckets("seconds", (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0))
_COMMIT = Buckets("seconds", (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5))
_SWAP = Buckets("seconds", (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0))
_RUN = Buckets("seconds", (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0))
_ITEMS = Buckets("items", (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0))


class RpcMetrics:
    """Calls at the gRPC doors."""

    def __init__(self, make: Catalogue) -> None:
        """Add the group to the catalogue."""
        self.finished = make.counter(
            "thumbwheel_rpcs",
            ("method", "policy", "policy_version", "code"),
            "calls",
            "Finished gRPC calls by status code; policy and version are empty where none answered.",
            "A rise of INTERNAL is a defect: find the correlation id in the log.",
        )
        self.duration = make.histogram(
            "thumbwheel_rpc_duration_seconds",
            ("method", "policy_version"),
            _LATENCY,
            "Time from a call's arrival to its last byte.",
            "When it grows, look at the queue depths, then at the log's append time.",
        )
        self.in_flight = make.gauge(
            "thumbwheel_rpcs_in_flight",
            ("method",),
            "calls",
            "Calls being answered now.",
            "A number that only grows means calls that hang: look for a full queue.",
        )


class QueueMetrics:
    """Bounded queues before the models."""

    def __init__(self, make: Catalogue) -> None:
        """Add the group to the catalogue."""
        self.depth = make.gauge(
            "thumbwheel_queue_depth",
            ("queue",),
            "items",
            "Requests waiting or being computed.",
            "Near its limit: add cores or replicas, or allow less per request.",
        )
        self.limit = make.gauge(
            "thumbwheel_queue_limit",
            ("queue",),
            "items",
            "Depth at which requests are refused with RESOURCE_EXHAUSTED.",
            "Set by classify.queue_limit and generate.queue_limit.",
        )
        self.refused = make.counter(
            "thumbwheel_queue_refused",
            ("queue",),
            "requests",
            "Requests refused because the queue was full.",
            "Clients wait and retry; when it lasts, add capacity.",
        )
        self.batch_size = make.histogram(
            "thumbwheel_batch_items",
            ("queue",),
            _ITEMS,
            "Requests computed together in one forward pass.",
            "Always 1 under load: raise classify.max_wait_ms.",
        )
        self.tokens = make.counter(
            "thumbwheel_generated_tokens",
            ("policy", "policy_version"),
            "tokens",
            "Tokens sampled for users.",
            "Its rate is the throughput of generation.",
        )


class VersionMetrics:
    """Versions that are served, and swaps between them."""

    def __init__(self, make: Catalogue) -> None:
        """Add the group to the catalogue."""
        self.serving = make.gauge(
            "thumbwheel_version_serving",
            ("policy", "channel", "policy_version"),
            "1",
            "1 for each version that is loaded and answers.",
            "Absent for a policy: its champion could not be loaded, see damaged versions.",
        )
        self.swaps = make.counter(
            "thumbwheel_swaps",
            ("policy", "outcome"),
            "swaps",
            "Changes of the serving version: swapped, or failed while the old one went on serving.",
            "After a failure read the log, then roll back or restore the version's files.",
        )
        self.swap_duration = make.histogram(
            "thumbwheel_swap_duration_seconds",
            ("policy",),
            _SWAP,
            "Time from noticing a moved channel to the first answer of the new version.",
            "Loading and warming dominate; requests go on meanwhile.",
        )
        self.damaged = make.counter(
            "thumbwheel_damaged_versions",
            ("policy",),
            "loads",
            "Versions not served because their files differ from their manifest.",
            "Restore the files or roll back.",
        )


class LogMetrics:
    """The durable event log."""

    def __init__(self, make: Catalogue) -> None:
        """Add the group to the catalogue."""
        self.append_duration = make.histogram(
            "thumbwheel_log_append_duration_seconds",
            (),
            _COMMIT,
            "Time of one durable write, to the end of its fsync, or to the brokers' answer where votes wait for that.",
            "When it grows, the disk is slow or shared, or the broker is.",
        )
        self.append_records = make.histogram(
            "thumbwheel_log_append_records",
            (),
            _ITEMS,
            "Records made durable by one write.",
            "Grows with load: that is how one fsync serves many.",
        )
        self.append_failures = make.counter(
            "thumbwheel_log_append_failures",
            (),
            "writes",
            "Durable writes that failed; nothing of them was acknowledged.",
            "The warnings say why: a full disk, log.max_bytes reached, a read-only mount; a broker that is away.",
        )
        self.unlogged = make.counter(
            "thumbwheel_unlogged_responses",
            ("policy",),
            "answers",
            "Answers that were served but could not be logged; they can't be rated.",
            "Mend the log, see the append failures.",
        )
        self.size = make.gauge(
            "thumbwheel_log_size_bytes",
            (),
            "bytes",
            "Size of the log's files.",
            "At log.max_bytes feedback is refused: raise it or free space.",
        )


class OutboxMetrics:
    """Events on this machine's disk that wait to be shipped to the log behind it."""

    def __init__(self, make: Catalogue) -> None:
        """Add the group to the catalogue."""
        self.records = make.gauge(
            "thumbwheel_outbox_records",
            ("topic",),
            "records",
            "Events that wait in the outbox.",
            "Growing: the broker is away or slow; the failures and the log of the process say why.",
        )
        self.age = make.gauge(
            "thumbwheel_outbox_age_seconds",
            ("topic",),
            "seconds",
            "How long the oldest event has waited in the outbox, when last looked at; 0 where none waits.",
            "Growing while records are shipped: the broker is slower than what comes in.",
        )
        self.fullness = make.gauge(
            "thumbwheel_outbox_fullness",
            (),
            "fraction",
            "Share of its bound that the outbox fills.",
            "At 1 feedback is refused and answers are not logged: mend the broker or raise log.max_bytes.",
        )
        self.shipped = make.counter(
            "thumbwheel_outbox_shipped",
            ("topic",),
            "records",
            "Events that the broker has acknowledged.",
            "Stands still while records wait: see the failures.",
        )
        self.failures = make.counter(
            "thumbwheel_outbox_failures",
            (),
            "shipments",
            "Shipments that failed and are tried again; nothing of them is lost.",
            "The warnings in the log say why: a broker that is away, a topic that is missing, an event too large.",
        )


class FeedbackMetrics:
    """Votes at the door."""

    def __init__(self, make: Catalogue) -> None:
        """Add the group to the catalogue."""
        self.received = make.counter(
            "thumbwheel_feedback",
            ("kind", "outcome"),
            "votes",
            "Feedback by what became of it: accepted, retracted, absent, invalid, refused, limited, unavailable.",
            "Many refused: a client mixes up tokens, or someone forges them.",
        )
        self.votes = make.gauge(
            "thumbwheel_votes",
            ("policy", "policy_version", "vote"),
            "votes",
            "Current votes in the store: up, down, rating, ranking, edit.",
            "A falling share of up on a new version: roll back.",
        )


class IngestMetrics:
    """From the log into the store."""

    def __init__(self, make: Catalogue) -> None:
        """Add the group to the catalogue."""
        self.lag = make.gauge(
            "thumbwheel_ingest_lag_records",
            ("topic",),
            "records",
            "Records in the log and not yet in the store: the lag behind Kafka, or behind the embedded log.",
            "Growing: the store is slow or away; nothing is lost while the log has room (in Kafka: retention).",
        )
        self.partitions = make.gauge(
            "thumbwheel_ingest_partitions",
            (),
            "partitions",
            "Partitions in Kafka that are this worker's, of those that several share.",
            "0 for long: there are more workers than partitions, or the broker is away.",
        )
        self.rows = make.counter(
            "thumbwheel_ingest_rows",
            ("kind",),
            "rows",
            "Records written into the store: requests, feedback.",
            "Stands still while requests come in: look at the lag and the failures.",
        )
        self.batch_duration = make.histogram(
            "thumbwheel_ingest_batch_duration_seconds",
            (),
            _LATENCY,
            "Time of one ingest transaction.",
            "When it grows, the store's disk is slow, or ingest.batch is too large.",
        )
        self.failures = make.counter(
            "thumbwheel_ingest_failures",
            ("reason",),
            "batches",
            "Transactions to be tried again (unavailable), or taken over by another consumer (fenced).",
            "Read the log of the process for the cause.",
        )
        self.dropped = make.counter(
            "thumbwheel_ingest_dropped_records",
            ("topic",),
            "records",
            "Records that Kafka's retention dropped before they were read: lost, though they were acknowledged.",
            "Raise the topic's retention.ms above the longest time that ingest may be away; restore a backup.",
        )
        self.dead_letters = make.gauge(
            "thumbwheel_dead_letters",
            (),
            "records",
            "Records that could not be used, kept in the store with their bytes and the reason.",
            "Growing: `thumbwheel deadletters list` has the reasons; often a newer release wrote the log.",
        )
        self.published = make.counter(
            "thumbwheel_dead_letters_published",
            (),
            "records",
            "Dead letters that were published to their topic in Kafka; a few twice, after a crash.",
            "Stands still while dead letters grow: the broker is away, or the topic is missing.",
        )
        self.orphans = make.gauge(
            "thumbwheel_orphan_votes",
            (),
            "votes",
            "Votes that wait for their answer's record.",
            "Growing: answers are served unlogged, see the append failures.",
        )


class RunMetrics:
    """Training runs."""

    def __init__(self, make: Catalogue) -> None:
        """Add the group to the catalogue."""
        self.finished = make.counter(
            "thumbwheel_runs",
            ("policy", "state"),
            "runs",
            "Ended runs: promoted, on trial as canary, rejected, failed.",
            "Failed: `thumbwheel runs show RUN` has the error; rejected: its report says which gate and why.",
        )
        self.running = make.gauge(
            "thumbwheel_runs_running",
            ("policy",),
            "runs",
            "1 while a run is at work.",
            "1 for very long: look at the run's step in `thumbwheel runs`.",
        )
        self.duration = make.histogram(
            "thumbwheel_run_duration_seconds",
            ("policy",),
            _RUN,
            "Time from a run's start to its end.",
            "Grows with the votes of a snapshot; data.max_votes_per_rater bounds it.",
        )


class Metrics:
    """All metrics of a process, in a registry of their own unless other instruments keep them."""

    def __init__(self, instruments: Instruments | None = None) -> None:
        """Make the metrics; memory, CPU and open files of the process are always in the registry."""
        self.registry = CollectorRegistry(auto_describe=True)
        make = Catalogue(instruments or PrometheusInstruments(self.registry))
        self.rpc = RpcMetrics(make)
        self.queue = QueueMetrics(make)
        self.version = VersionMetrics(make)
        self.log = LogMetrics(make)
        self.outbox = OutboxMetrics(make)
        self.feedback = FeedbackMetrics(make)
        self.ingest = IngestMetrics(make)
        self.run = RunMetrics(make)
        self.trial = TrialMetrics(make)
        self.shadow = ShadowMetrics(make)
        self.catalogue: tuple[Spec, ...] = tuple(make.specs)
        ProcessCollector(registry=self.registry)

    def render(self) -> bytes:
        """Return the text exposition, of content type `CONTENT_TYPE`, for `/metrics`."""
        return generate_latest(self.registry)
