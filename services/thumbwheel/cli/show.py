"""Progress bars of the demonstration and the simulator."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

_EVERY_S = 15.0


def draws_bars(console: Console) -> bool:
    """Whether bars are seen while they grow; in a pipe, a file or a dumb terminal they only come out when done."""
    return console.is_terminal and not console.is_dumb_terminal


def at_times(say: Callable[[str], None], every_s: float = _EVERY_S) -> Callable[[str], None]:
    """Return what passes a sentence on to `say` at most every `every_s` seconds, for the first time after as long.

    One that was passed on last is not said again.
    """
    last, said = monotonic(), ""

    def perhaps(sentence: str) -> None:
        nonlocal last, said
        if sentence != said and monotonic() - last >= every_s:
            last, said = monotonic(), sentence
            say(sentence)

    return perhaps


class Bars:
    """Shows work as bars; where these are not seen, says a line as each stage begins, and how far it is at times.

    Use as a context manager.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        """Nothing is drawn before it is entered; on standard error if standard output is for something else."""
        columns = (TextColumn("{task.description:<46}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self.progress = Progress(*columns, console=Console(stderr=stderr))
        self._runs: dict[str, TaskID] = {}
        self._stages: dict[str, str] = {}
        self._tellers: dict[str, Callable[[float], None]] = {}

    def __enter__(self) -> Bars:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Draw no more; what is printed from now on stands below the bars."""
        if self.progress.live.is_started:
            self.progress.stop()

    def say(self, sentence: str) -> None:
        """Print a line above the bars."""
        self.progress.console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    def counter(self, what: str, total: int) -> Callable[[], None]:
        """Begin a count to `total`; the returned function advances it by one."""
        self._begin(f"{what} ({total:,})")
        task, tell = self.progress.add_task(what, total=total), self._teller(what)

        def advance() -> None:
            self.progress.advance(task)
            tell(self.progress.tasks[task].completed / max(1, total))

        return advance

    def bar(self, what: str) -> Callable[[int, int], None]:
        """Begin a bar; the returned function sets it to (done, total)."""
        self._begin(what)
        task, tell = self.progress.add_task(what, total=None), self._teller(what)

        def advance(done: int, total: int) -> None:
            self.progress.update(task, completed=done, total=total)
            tell(done / max(1, total))

        return advance

    def learning(self, policy: str, stage: str, share: float) -> None:
        """Show the stage of a policy's run and the share of it that is done, in [0, 1]."""
        if stage and self._stages.get(policy) != stage:
            self._stages[policy] = stage
            self._begin(f"{policy}: {stage}")
            self._tellers[policy] = self._teller(f"{policy}: {stage}")
        if policy in self._tellers:
            self._tellers[policy](share)
        self.progress.update(self._run(policy), description=f"{policy}: {stage}", completed=round(100 * share))

    def learned(self, policy: str, sentence: str) -> None:
        """Say how a policy's run ended."""
        self.progress.update(self._run(policy), description=f"{policy}: run ended", completed=100)
        self.say(f"{policy}: {sentence}")

    def _run(self, policy: str) -> TaskID:
        if policy not in self._runs:
            self._runs[policy] = self.progress.add_task(policy, total=100)
        return self._runs[policy]

    def _begin(self, stage: str) -> None:
        if not draws_bars(self.progress.console):
            self.say(stage)

    def _teller(self, what: str) -> Callable[[float], None]:
        """What says, where no bars are seen, how much of a piece of work is done, in [0, 1], every now and then."""
        if draws_bars(self.progress.console):
            return lambda share: None
        say = at_times(self.say)
        return lambda share: say(f"{what}: {share:.0%}")
