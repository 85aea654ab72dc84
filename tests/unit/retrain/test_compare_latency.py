"""Whose turn it is when two versions are timed."""

from __future__ import annotations

from thumbwheel.retrain.latency import WARM_UP, compare_latency


def test_neither_version_always_goes_first() -> None:
    calls: list[tuple[str, int]] = []
    found = compare_latency(
        [0, 1, 2, 3], lambda n: calls.append(("champion", n)), lambda n: calls.append(("candidate", n))
    )
    timed = calls[2 * WARM_UP :]
    assert [name for name, _ in timed[::2]] == ["champion", "candidate", "champion", "candidate"]
    assert [n for _, n in timed] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert sorted(timed) == [(name, n) for name in ("candidate", "champion") for n in range(4)]
    assert len(found.champion_s) == len(found.candidate_s) == 4
    assert min(*found.champion_s, *found.candidate_s) >= 0.0
