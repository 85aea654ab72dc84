"""The part of the catalogue that tells of versions tried out: trials among users, and shadows."""

from __future__ import annotations

from thumbwheel.telemetry.families import Buckets, Catalogue

_LATENCY = Buckets("seconds", (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0))


class TrialMetrics:
    """Versions on trial among users."""

    def __init__(self, make: Catalogue) -> None:
        """Add the group to the catalogue."""
        self.running = make.gauge(
            "thumbwheel_trial_running",
            ("policy", "kind"),
            "1",
            "1 while a canary is on trial, or a new champion is watched.",
            "See how it stands with `thumbwheel canary status`.",
        )
        self.voices = make.gauge(
            "thumbwheel_trial_voices",
            ("policy", "policy_version", "vote"),
            "users",
            "Users heard in the running trial, one thumb each, on both versions.",
            "It does not grow: see that clients send user.id, and that ingest keeps up.",
        )
        self.ended = make.counter(
            "thumbwheel_trials",
            ("policy", "state"),
            "trials",
            "Ended trials: promoted, rolled back, kept, given up, stopped, overtaken.",
            "Rolled back: `thumbwheel canary status` and the audit trail have the evidence.",
        )


class ShadowMetrics:
    """Versions that answer without anybody seeing it."""

    def __init__(self, make: Catalogue) -> None:
        """Add the group to the catalogue."""
        self.requests = make.counter(
            "thumbwheel_shadow_requests",
            ("policy", "policy_version", "outcome"),
            "requests",
            "Requests for a shadow: same or other label or tags, written or empty reply, failed, left out under load.",
            "Many failed: the version is not fit to serve. Many left out: raise canary.shadow_limit, or add cores.",
        )
        self.duration = make.histogram(
            "thumbwheel_shadow_duration_seconds",
            ("policy_version",),
            _LATENCY,
            "Time a shadow takes for an answer.",
            "Compare with the champion's thumbwheel_rpc_duration_seconds.",
        )
