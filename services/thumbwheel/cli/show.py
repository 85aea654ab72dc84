"""Progress bars of the demonstration and the simulator."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


def draws_bars(console: Console) -> bool:
    """Whether bars are seen while they grow; in a pipe, a file or a dumb terminal they only come out when done."""
    return console.is_terminal and not console.is_dumb_terminal


class Bars:
    """Shows work as bars; where these are not seen, says a line as each stage begins. Use as a context manager."""

    def __init__(self, *, stderr: bool = False) -> None:
        """Nothing is drawn before it is entered; on standard error if standard output is for something else."""
        columns = (TextColumn("{task.description:<46}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self.progress = Progress(*columns, console=Console(stderr=stderr))
        self._runs: dict[str, TaskID] = {}
        self._stages: dict[str, str] = {}

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
        task = self.progress.add_task(what, total=total)
        return lambda: self.progress.advance(task)

    def bar(self, what: str) -> Callable[[int, int], None]:
        """Begin a bar; the returned function sets it to (done, total)."""
        self._begin(what)
        task = self.progress.add_task(what, total=None)
        return lambda done, total: self.progress.update(task, completed=done, total=total)

    def learning(self, policy: str, stage: str, share: float) -> None:
        """Show the stage of a policy's run and the share of it that is done, in [0, 1]."""
        if stage and self._stages.get(policy) != stage:
            self._stages[policy] = stage
            self._begin(f"{policy}: {stage}")
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
