"""What PPO keeps: measured on prompts that teach nothing, the best state, and not a step longer than it helps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

import pytest
import torch
from tiny_policy import tiny_policy

from thumbwheel.errors import Unlearnable
from thumbwheel.policy.loading import load_causal, save_causal
from thumbwheel.policy.scoring import score_replies
from thumbwheel.ppo.generate.held_out import Evaluation, best, evaluate, is_due, is_over, set_aside
from thumbwheel.ppo.generate.improve import Improvement, improve_generate
from thumbwheel.ppo.generate.settings import PpoSettings
from thumbwheel.ppo.generate.trainee import AllWeights
from thumbwheel.ppo.generate.training_state import initial_state
from thumbwheel.workers.alone import Alone

PROMPTS = [[1, 4, 40 + i, 60 + i % 7, 2, 5][i % 3 :] for i in range(30)]
MANY = [[1, 4 + i % 30, 40 + i % 37, 60 + i % 7, 2, 5][i % 3 :] for i in range(400)]
SETTINGS = PpoSettings(
    iterations=6,
    episodes=16,
    minibatch=8,
    epochs=2,
    learning_rate=1e-2,
    final_rate_share=1.0,
    max_new_tokens=6,
    least_prompts=10,
    checkpoint_every=2,
    max_update_kl=9.0,
    evaluate_every=1,
    patience=0,
)
# Student's t at 97.5 % for 2 degrees of freedom, from a table.
T_2 = 4.3027


class Killed(Exception):
    """Stands for a kill."""


class Scores:
    """Likes high ids, keeps all within what an end or none changes nothing of, and remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, ...]] = []
        self.given: list[float] = []
        self.replies: list[Sequence[int]] = []

    def __call__(self, prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]]) -> list[float]:
        self.asked += [tuple(prompt) for prompt in prompts]
        given = [sum(token > 150 for token in reply) / len(reply) * 4 - 6 for reply in replies]
        self.given += given
        self.replies += replies
        return given


@pytest.fixture
def champion(tmp_path: Path) -> Path:
    save_causal(tiny_policy(), tmp_path / "champion")
    return tmp_path / "champion"


def improve(
    champion: Path,
    out: str,
    stop: int = 0,
    scorer: Scores | None = None,
    prompts: Sequence[Sequence[int]] = PROMPTS,
    **changes: object,
) -> Improvement:
    def told(done: int, total: int, metrics: object) -> None:
        if done == stop:
            raise Killed

    settings = replace(SETTINGS, **changes)  # type: ignore[arg-type]
    folder, state = champion.parent / out, champion.parent / f"{out}-state"
    return improve_generate(
        champion,
        scorer or Scores(),
        prompts,
        folder,
        seed=1,
        settings=settings,
        checkpoint=state,
        round_done=told,
    )


def test_a_tenth_is_set_aside_and_never_taught(champion: Path) -> None:
    taught, aside = set_aside(PROMPTS, SETTINGS, 1)
    assert (len(taught), len(aside)) == (27, 3)
    assert sorted(map(tuple, [*taught, *aside])) == sorted(map(tuple, PROMPTS))
    assert set_aside(PROMPTS, SETTINGS, 1) == (taught, aside)
    assert set_aside(PROMPTS, SETTINGS, 2)[1] != aside
    assert set_aside(PROMPTS, replace(SETTINGS, evaluation_prompts=2), 1) == (taught, aside[:2])
    assert set_aside(PROMPTS, replace(SETTINGS, evaluate_every=0), 1) == (PROMPTS, [])
    scorer = Scores()
    improve(champion, "out", scorer=scorer, iterations=2)
    sizes = [3, 16, 3, 16, 3]  # the champion, then rollouts and an evaluation in turn
    for size in sizes:
        batch, scorer.asked = scorer.asked[:size], scorer.asked[size:]
        assert (size == 3) == (set(batch) == {tuple(prompt) for prompt in aside})
        assert (size == 16) == set(batch).isdisjoint({tuple(prompt) for prompt in aside})
    assert not scorer.asked


def test_an_evaluation_is_score_less_kl_with_the_lower_end_of_students_interval(champion: Path) -> None:
    torch.manual_seed(1)
    trainee = AllWeights(tiny_policy(seed=3), load_causal(champion))
    state, scorer = initial_state(trainee, SETTINGS, Alone()), Scores()
    state.kl.beta = 7.0  # that of the moment does not count
    found = evaluate(state, scorer, PROMPTS[:3], 4, 1, SETTINGS)
    of, by = (score_replies(one.model, PROMPTS[:3], scorer.replies) for one in (trainee.policy, trainee.champion))
    ends = [reply[-1] == 2 for reply in scorer.replies]
    paid = [score if end else min(score, -1.0) - 1.0 for score, end in zip(scorer.given, ends, strict=True)]
    kl = [sum(new) - sum(old) for new, old in zip(of, by, strict=True)]
    reward = [p - 0.1 * k for p, k in zip(paid, kl, strict=True)]
    assert found.iteration == 4
    assert (found.score, found.kl) == pytest.approx((mean(paid), mean(kl)), abs=1e-3)
    assert found.reward == pytest.approx(mean(reward), abs=1e-3)
    assert found.low == pytest.approx(mean(reward) - T_2 * stdev(reward) / 3**0.5, abs=1e-2)


def seen(*means: float) -> list[Evaluation]:
    """Evaluations of the champion and of every second iteration, on four prompts whose rewards lie apart by 2.

    Of two in a row the differences scatter with a standard deviation of .327 about that of the means: .1 is not told
    from none, t = .1 / (.327 / 2) = .61 where it takes 2.35 (3 degrees of freedom, one-sided 95 %, from a table); 1 is.
    """
    shaken = (0.2, -0.2, 0.2, -0.2), (-0.2, 0.2, 0.2, -0.2), (0.2, 0.2, -0.2, -0.2)
    apart = (-3.0, -1.0, 1.0, 3.0)
    return [
        Evaluation(
            2 * i, 0.0, 0.0, of_all, 0.0, tuple(of_all + a + s for a, s in zip(apart, shaken[i % 3], strict=True))
        )
        for i, of_all in enumerate(means)
    ]


@pytest.mark.parametrize(
    ("means", "chosen"),
    [
        ([9.0, 1.0], 1),
        ([9.0, 1.0, 3.0, 1.0], 2),
        ([9.0, 1.0, 3.0, 2.9], 3),  # not told from the peak, and later
        ([9.0, 1.0, 3.0, 2.9, 2.0, 1.0], 3),
        ([0.0, 3.0, 2.9, 2.0, 3.1], 4),
        ([9.0, -1.0, -2.0], 1),  # the champion's own is none to choose
    ],
)
def test_the_latest_is_taken_that_is_not_surely_worse_than_the_peak(means: list[float], chosen: int) -> None:
    evaluations = seen(*means)
    assert best(evaluations) is evaluations[chosen]
    assert best(seen(9.0)) is None


@pytest.mark.parametrize(
    ("means", "patience", "over"),
    [
        ([9.0], 1, False),
        ([9.0, 1.0], 1, False),
        ([0.0, 2.0, 1.0], 1, True),
        ([0.0, 2.0, 1.0], 2, False),
        ([0.0, 2.0, 1.0, 0.5], 2, True),
        ([0.0, 2.0, 1.0, 1.9], 2, False),
        ([0.0, 2.0, 1.0, 2.5], 2, False),
        ([0.0, 2.0, 1.9, 2.0, 1.9, 2.0], 2, False),
        ([0.0, 2.0, 1.0, 1.0, 1.0, 1.0], 0, False),
    ],
)
def test_patience_counts_looks_that_are_worse(means: list[float], patience: int, over: bool) -> None:
    assert is_over(seen(*means), replace(SETTINGS, patience=patience)) is over


def test_it_is_looked_at_every_so_often_and_at_the_end() -> None:
    every_4 = replace(SETTINGS, evaluate_every=4, iterations=10)
    assert [done for done in range(1, 11) if is_due(done, every_4)] == [4, 8, 10]
    assert not any(is_due(done, replace(SETTINGS, evaluate_every=0)) for done in range(1, 7))


def test_the_state_that_is_taken_is_the_one_that_is_saved(champion: Path) -> None:
    """Steps too large: it gets worse after a while, and what is saved is what a shorter run would have ended with."""
    done = improve(champion, "out", prompts=MANY, learning_rate=0.4)
    assert len(done.evaluations) == 7
    assert 0 < done.iteration < 6, "choose a case where the last is worse"
    assert max(done.evaluations[done.iteration + 1 :], key=lambda later: later.reward).reward < max(
        one.reward for one in done.evaluations[1:]
    )
    shorter = improve(champion, "shorter", prompts=MANY, learning_rate=0.4, iterations=done.iteration)
    assert (done.folder / "model.safetensors").read_bytes() == (shorter.folder / "model.safetensors").read_bytes()
    last = improve(champion, "last", prompts=MANY, learning_rate=0.4, evaluate_every=0)
    assert (last.iteration, last.evaluations) == (6, ())
    assert (done.folder / "model.safetensors").read_bytes() != (last.folder / "model.safetensors").read_bytes()


def test_it_ends_when_patience_does_and_resumes_to_the_same_bytes(champion: Path) -> None:
    whole = improve(champion, "whole", prompts=MANY, learning_rate=0.4, iterations=8, patience=2)
    assert len(whole.history) == whole.iteration + 2 < 8
    with pytest.raises(Killed):
        improve(
            champion,
            "killed",
            stop=len(whole.history),
            prompts=MANY,
            learning_rate=0.4,
            iterations=8,
            patience=2,
        )
    resumed = improve(champion, "killed", prompts=MANY, learning_rate=0.4, iterations=8, patience=2)
    assert (resumed.history, resumed.evaluations) == (whole.history, whole.evaluations)
    assert (whole.folder / "model.safetensors").read_bytes() == (resumed.folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_ends_it_and_saves_nothing(champion: Path, wrong: float) -> None:
    class Broken(Scores):
        def __call__(self, prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]]) -> list[float]:
            return [wrong, *super().__call__(prompts, replies)[1:]]

    with pytest.raises(Unlearnable, match="no number .* for 1 of 3 replies"):
        improve(champion, "out", scorer=Broken())
    assert not (champion.parent / "out").exists()


def test_a_loss_that_is_no_number_ends_it_before_a_weight_changes(champion: Path) -> None:
    with pytest.raises(Unlearnable, match="lower learn.learning_rate"):
        improve(champion, "out", value_weight=float("nan"))
    assert not (champion.parent / "out").exists()


def test_prompts_that_leave_no_room_for_a_reply_are_left_out(champion: Path) -> None:
    scorer = Scores()
    long = [1, *range(100, 158)]  # 59 tokens, of 64; a reply may have 6
    settings = replace(SETTINGS, iterations=1)
    improve_generate(champion, scorer, [*PROMPTS, long, long[:58]], champion.parent / "out", seed=1, settings=settings)
    assert tuple(long) not in scorer.asked
    with pytest.raises(Unlearnable, match="1 prompts, it takes 2"):
        two = replace(settings, least_prompts=2)
        improve_generate(champion, scorer, [long, long[:58]], champion.parent / "no", seed=1, settings=two)
