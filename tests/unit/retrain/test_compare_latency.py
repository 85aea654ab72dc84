"""What counts as the time of a request when two versions are timed side by side."""

from __future__ import annotations

from collections.abc import Callable

from thumbwheel.gates.evidence import Latency
from thumbwheel.retrain.latency import LEAST_ROUNDS, LEAST_S, compare_latency


class Machine:
    """A clock that calls move: each takes as long as its version says, and more while something else runs."""

    def __init__(self, burst: range = range(0)) -> None:
        self.now_s = 0.0
        self.calls: list[tuple[str, int]] = []
        self._burst = burst

    def version(self, name: str, seconds: float) -> Callable[[int], None]:
        def answer(request: int) -> None:
            slowed = 10.0 if len(self.calls) in self._burst else 1.0
            self.calls.append((name, request))
            self.now_s += seconds * request * slowed

        return answer

    def clock(self) -> float:
        return self.now_s


def compared(machine: Machine, requests: list[int], candidate_s: float) -> Latency:
    champion, candidate = machine.version("champion", 0.001), machine.version("candidate", candidate_s)
    return compare_latency(requests, champion, candidate, machine.clock)


def test_neither_version_always_goes_first() -> None:
    machine = Machine()
    compared(machine, [1, 2, 3], 0.001)
    untimed, first, second = machine.calls[:6], machine.calls[6:12], machine.calls[12:18]
    assert {name for name, _ in untimed} == {"champion", "candidate"}
    assert [name for name, _ in first[::2]] == ["champion", "candidate", "champion"]
    assert [name for name, _ in second[::2]] == ["candidate", "champion", "candidate"]
    assert [request for _, request in first] == [1, 1, 2, 2, 3, 3]


def test_each_request_has_its_own_time() -> None:
    found = compared(Machine(), [1, 2, 3], 0.002)
    assert [round(seconds, 9) for seconds in found.champion_s] == [0.001, 0.002, 0.003]
    assert [round(seconds, 9) for seconds in found.candidate_s] == [0.002, 0.004, 0.006]


def test_a_burst_does_not_count_though_it_meets_one_version_only() -> None:
    machine = Machine(range(20, 50))
    found = compared(machine, [1, 2, 3], 0.001)
    assert [round(seconds, 9) for seconds in found.candidate_s] == [0.001, 0.002, 0.003]
    assert [round(seconds, 9) for seconds in found.champion_s] == [0.001, 0.002, 0.003]


def test_quick_requests_are_spread_over_a_while_and_slow_ones_are_not_repeated_for_ever() -> None:
    quick, slow = Machine(), Machine()
    compared(quick, [1], 0.001)
    assert quick.now_s >= LEAST_S
    compared(slow, [10_000], 0.001)
    assert len(slow.calls) == 2 * (1 + LEAST_ROUNDS)


def test_no_requests_are_no_evidence() -> None:
    assert len(compared(Machine(), [], 0.001).champion_s) == 0
