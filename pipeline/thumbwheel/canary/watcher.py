"""Who watches trials: counts the thumbs that came in, and acts on them.

Several may watch the same trials. Each write is made on the condition that nobody else has written since it was read,
so that every thumb counts once and a trial ends once; all there is to know is in the database, and whoever comes after
a restart goes on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from thumbwheel.config.settings import Canary
from thumbwheel.database.slices import first_id
from thumbwheel.errors import Fenced, ThumbwheelError
from thumbwheel.records import LoggedResponse, PolicyKind, is_anonymous
from thumbwheel.registry.port import Registry
from thumbwheel.registry.trial import Heard, Trial, TrialKind
from thumbwheel.store.port import FeedbackStore, Thumb
from thumbwheel.telemetry.logging import get_logger

if TYPE_CHECKING:
    from thumbwheel.canary.decide import Finding
    from thumbwheel.canary.guardrails import Rail

log = get_logger(__name__)

ACTOR = "canary"
PAGE = 5_000
MOST_PAGES = 20
BASELINE_VOTES = 50_000
ANSWERS = 1_000
RAILS_EVERY_S = 60.0
DAY_US = 86_400_000_000


def _now_us() -> int:
    return time.time_ns() // 1_000


@dataclass(slots=True)
class _Rails:
    """Guardrails as they were measured last, and when that was."""

    measured_us: int = 0
    found: list[Rail] = field(default_factory=list)


class Watcher:
    """Looks at the running trials of all policies; `start` does so on a thread until `stop`."""

    def __init__(
        self,
        store: FeedbackStore,
        registry: Registry,
        limits: Canary,
        anonymous_as_one: bool = True,
        clock: Callable[[], int] = _now_us,
    ) -> None:
        """Nothing happens before `start`, or `look`. With `anonymous_as_one` votes without a user have no voice."""
        self._store = store
        self._registry = registry
        self._limits = limits
        self._anonymous_as_one = anonymous_as_one
        self._clock = clock
        self._rails: dict[int, _Rails] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_until_ended, name="trials", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> list[Trial]:
        """Look at every running trial once; return them as they are then, also those that ended by it.

        One that can not be looked at, or ended, now keeps no other one waiting: it is tried again at the next look.
        """
        return [after for trial in self._registry.trials.running() if (after := self._looked_at(trial)) is not None]

    def _looked_at(self, trial: Trial) -> Trial | None:
        try:
            return self._followed(trial)
        except Fenced as fenced:
            log.debug("another process watches the trial", policy=trial.policy, reason=str(fenced))
        except ThumbwheelError as error:
            log.warning("a trial could not be looked at", policy=trial.policy, reason=str(error))
        return None

    def _followed(self, trial: Trial) -> Trial:
        """Count what is new, then act on it."""
        from thumbwheel.canary.decide import decide  # statistics are slow to import, and large

        for _ in range(MOST_PAGES):
            trial, whole = self._heard(trial)
            if whole or self._ended.is_set():
                break
        finding = decide(trial, self._measured(trial), self._clock(), self._limits)
        if finding.state is not None:
            return self._conclude(trial, finding)
        if finding.sentence != trial.sentence:
            return self._registry.trials.say(trial, finding.sentence, finding.written)
        return trial

    def _heard(self, trial: Trial) -> tuple[Trial, bool]:
        """Count the next thumbs; False when there may be more."""
        if trial.kind is TrialKind.WATCH and trial.cursor < trial.start_seq:
            return self._registry.trials.hear(trial, self._baseline(trial), trial.start_seq), False
        thumbs, cursor = self._store.thumbs_after(trial.policy, trial.cursor, PAGE)
        if cursor == trial.cursor:
            return trial, True
        heard = [Heard(one.version, one.rater, one.up) for one in self._counted(trial, thumbs)]
        return self._registry.trials.hear(trial, heard, cursor), False

    def _baseline(self, trial: Trial) -> list[Heard]:
        """What users said of the version before in the last days, each user's latest thumb."""
        since_us = trial.started_us - self._limits.baseline_days * DAY_US
        thumbs = self._store.thumbs_before(trial.policy, trial.start_seq, BASELINE_VOTES)
        named = [one for one in thumbs if one.version == trial.control and one.time_us >= since_us]
        return [Heard(one.version, one.rater, one.up) for one in named if self._has_voice(one.rater)]

    def _counted(self, trial: Trial, thumbs: Sequence[Thumb]) -> Iterator[Thumb]:
        """Those that a trial is about.

        Of a canary's only those on answers since it began, of users who were drawn for the version that answered them:
        what users got while it was loading, or through another trial, says nothing of this draw.
        """
        since = first_id(trial.started_us // 1_000)
        for one in thumbs:
            if one.version not in (trial.version, trial.control) or not self._has_voice(one.rater):
                continue
            drawn = trial.split.is_drawn(one.rater) == (one.version == trial.version)
            if trial.kind is TrialKind.WATCH or (drawn and one.response_id >= since):
                yield one

    def _has_voice(self, rater: str) -> bool:
        return not (self._anonymous_as_one and is_anonymous(rater))

    def _measured(self, trial: Trial) -> list[Rail]:
        """The guardrails, measured anew when they are a minute old: they read answers."""
        last = self._rails.setdefault(trial.trial_id, _Rails())
        if self._clock() - last.measured_us >= RAILS_EVERY_S * 1e6:
            last.measured_us, last.found = self._clock(), self._measure(trial)
        return last.found

    def _measure(self, trial: Trial) -> list[Rail]:
        from thumbwheel.canary.guardrails import rails, replies_of

        served = [self._registry.trials.served(trial.trial_id, one) for one in (trial.control, trial.version)]
        replies = [replies_of(answers) for answers in self._newest_answers(trial)]
        return rails(served[0], served[1], replies[0], replies[1], self._limits)

    def _newest_answers(self, trial: Trial) -> tuple[list[LoggedResponse], list[LoggedResponse]]:
        """The newest answers of the control and of the version on trial; of labels there is nothing to read."""
        if self._registry.manifest(trial.policy, trial.version).kind is not PolicyKind.GENERATE:
            return [], []
        since = trial.started_us, self._clock() + DAY_US  # clocks of other machines may be ahead
        before = since
        if trial.kind is TrialKind.WATCH:
            before = trial.started_us - self._limits.baseline_days * DAY_US, trial.started_us
        spans = (trial.control, before), (trial.version, since)
        control, tried = (self._store.newest_answers(trial.policy, one, span, ANSWERS) for one, span in spans)
        return control, tried

    def _conclude(self, trial: Trial, finding: Finding) -> Trial:
        ended = self._registry.trials.conclude(trial, finding.conclusion, actor=ACTOR)
        self._rails.pop(trial.trial_id, None)
        log.info("a trial has ended", policy=ended.policy, state=ended.state.value, reason=ended.sentence)
        return ended

    def _look_until_ended(self) -> None:
        while not self._ended.wait(self._limits.check_s):
            try:
                self.look()
            except ThumbwheelError as error:
                log.warning("trials were not looked at", reason=str(error))
