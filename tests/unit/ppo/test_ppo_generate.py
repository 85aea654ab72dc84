"""The whole PPO loop on a tiny policy: first ratio 1, it improves, a killed run resumes to the same weights."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_policy import tiny_gpt2, tiny_policy
from transformers import PreTrainedModel

from thumbwheel.errors import NotEnoughData
from thumbwheel.policy.loading import load_causal, save_causal
from thumbwheel.policy.scoring import score_replies
from thumbwheel.ppo.generate.baselines import best_of_n, supervise_generate
from thumbwheel.ppo.generate.improve import Improvement, improve_generate
from thumbwheel.ppo.generate.rollout import Sampling, choose, draws, replies_by, sample_replies
from thumbwheel.ppo.generate.settings import PpoSettings
from thumbwheel.ppo.metrics import Metrics
from thumbwheel.reward.rated_reply import RatedReply

SETTINGS = PpoSettings(
    iterations=4,
    episodes=16,
    minibatch=8,
    epochs=2,
    learning_rate=1e-2,
    max_new_tokens=6,
    least_prompts=10,
    checkpoint_every=2,
    max_update_kl=9.0,
)
PROMPTS = [[1, 4, 40 + i, 60 + i % 7, 2, 5][i % 3 :] for i in range(20)]
LIKED = tuple(RatedReply(tuple(prompt), (170, 171 + i, 2), 1.0) for i, prompt in enumerate(PROMPTS))


class Killed(Exception):
    """Stands for a kill."""


def likes_high_ids(prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]]) -> list[float]:
    """Share of high ids, from -6 to -2: low enough that the rule for replies without an end takes nothing from it."""
    return [sum(token > 150 for token in reply) / len(reply) * 4 - 6 for reply in replies]


@pytest.fixture
def champion(tmp_path: Path) -> Path:
    save_causal(tiny_policy(), tmp_path / "champion")
    return tmp_path / "champion"


def improve(champion: Path, out: str, **changes: object) -> Improvement:
    told: list[Metrics] = []
    stop = changes.pop("stop", None)

    def round_done(done: int, total: int, metrics: Metrics) -> None:
        told.append(metrics)
        if done == stop:
            raise Killed

    liked: tuple[RatedReply, ...] = changes.pop("liked", LIKED)  # type: ignore[assignment]
    settings = replace(SETTINGS, **changes)  # type: ignore[arg-type]
    folder, state = champion.parent / out, champion.parent / f"{out}-state"
    return improve_generate(
        champion,
        likes_high_ids,
        PROMPTS,
        folder,
        seed=1,
        liked=liked,
        settings=settings,
        checkpoint=state,
        round_done=round_done,
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_causal(folder).model.state_dict())


def test_rollouts_end_at_the_end_token_and_follow_the_generator(champion: Path) -> None:
    model, sampling = load_causal(champion).model, Sampling(2, max_new_tokens=5)
    first, again = (sample_replies(model, PROMPTS, sampling, torch.Generator().manual_seed(4), 8) for _ in range(2))
    assert first == again
    assert all(1 <= len(reply) <= 5 and 2 not in reply[:-1] for reply in first)


def test_tokens_are_chosen_where_cumulative_probabilities_pass_the_draw() -> None:
    probs_BV = torch.tensor([[0.25, 0.0, 0.25, 0.5]]).expand(6, 4)
    uniform_B = torch.tensor([0.0, 0.2499, 0.25, 0.4999, 0.5, 1 - 2**-53], dtype=torch.float64)
    assert choose(probs_BV, uniform_B).squeeze(1).tolist() == [0, 0, 2, 2, 3, 3]


def test_draws_choose_tokens_as_often_as_their_probability_says() -> None:
    probs_V = torch.tensor([0.1, 0.6, 0.3])
    uniform_B = draws(20_000, Sampling(2, max_new_tokens=1), torch.Generator().manual_seed(0)).squeeze(1)
    shares_V = choose(probs_V.expand(20_000, 3), uniform_B).squeeze(1).bincount(minlength=3) / 20_000
    assert shares_V.tolist() == pytest.approx(probs_V.tolist(), abs=0.01)


def test_a_reply_does_not_depend_on_what_it_is_sampled_with(champion: Path) -> None:
    model, sampling = load_causal(champion).model, Sampling(2, max_new_tokens=6)
    uniform_BR = draws(len(PROMPTS), sampling, torch.Generator().manual_seed(4))
    alone = [replies_by(model, PROMPTS[i : i + 1], sampling, uniform_BR[i : i + 1])[0] for i in range(len(PROMPTS))]
    assert replies_by(model, PROMPTS, sampling, uniform_BR) == alone


@pytest.mark.parametrize("model", [tiny_policy().model, tiny_gpt2()], ids=["rotary", "absolute"])
def test_cached_sampling_draws_from_the_scored_distribution(model: PreTrainedModel) -> None:
    """At a temperature near 0 each token is the likeliest under the scorer, whatever padding its prompt had."""
    replies = sample_replies(model, PROMPTS, Sampling(2, 1e-4, 5), torch.Generator().manual_seed(0), 20)
    for score in score_replies(model, PROMPTS, replies, temperature=1e-4):
        assert score == pytest.approx([0.0] * len(score), abs=0.5)


def test_the_first_minibatch_has_ratio_one_and_kl_zero(champion: Path) -> None:
    facts = improve(champion, "out", iterations=1).history[0]
    assert facts["val/first_ratio"] == pytest.approx(1.0, abs=1e-4)
    assert facts["objective/kl"] == pytest.approx(0.0, abs=1e-4)


def test_one_minibatch_of_everything_moves_nothing_before_its_step(champion: Path) -> None:
    facts = improve(champion, "out", iterations=1, epochs=1, minibatch=SETTINGS.episodes).history[0]
    assert facts["policy/approxkl"] == pytest.approx(0.0, abs=1e-8)
    assert facts["policy/clipfrac"] == 0.0
    assert facts["val/ratio"] == pytest.approx(1.0, abs=1e-4)


def test_rows_run_one_by_one_learn_what_rows_run_together_learn(
    champion: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = improve(champion, "together", iterations=2)
    for module in ("collect", "improve"):
        monkeypatch.setattr(f"thumbwheel.ppo.generate.{module}.ROWS", 1)
    alone = improve(champion, "alone", iterations=2)
    expected = weights(together.folder)
    for name, value in weights(alone.folder).items():
        assert torch.allclose(value, expected[name], atol=1e-4), name
    assert alone.history[0]["loss/policy"] == pytest.approx(together.history[0]["loss/policy"], abs=1e-5)


def test_scores_rise_and_the_champion_stays(champion: Path) -> None:
    before = weights(champion)
    history = improve(champion, "out", iterations=12, epochs=4, beta=0.0, liked=()).history
    assert history[-1]["objective/scores"] > history[0]["objective/scores"] + 0.5
    assert all(torch.equal(value, before[name]) for name, value in weights(champion).items())


@pytest.mark.parametrize("stop", [1, 3])
def test_a_killed_run_resumes_to_the_same_weights(champion: Path, stop: int) -> None:
    whole = improve(champion, "whole")
    with pytest.raises(Killed):
        improve(champion, "killed", stop=stop)
    resumed = improve(champion, "killed")
    assert resumed.history == whole.history
    assert all(torch.equal(value, weights(whole.folder)[name]) for name, value in weights(resumed.folder).items())


def test_a_damaged_checkpoint_is_begun_again(champion: Path) -> None:
    whole = improve(champion, "whole")
    with pytest.raises(Killed):
        improve(champion, "killed", stop=3)
    state = champion.parent / "killed-state"
    state.write_bytes(state.read_bytes()[:-1])
    assert improve(champion, "killed").history == whole.history


def test_too_few_prompts(champion: Path) -> None:
    with pytest.raises(NotEnoughData, match="20 prompts, it takes 21"):
        improve(champion, "out", least_prompts=21)


def test_a_large_step_stops_the_iteration_early(champion: Path) -> None:
    facts = improve(champion, "out", iterations=1, max_update_kl=0.0).history[0]
    assert facts["val/steps"] == 2


def test_liked_replies_of_weight_zero_change_no_bit(champion: Path) -> None:
    without, unweighted = improve(champion, "without", liked=()), improve(champion, "unweighted", liked_weight=0.0)
    assert unweighted.history == without.history
    expected = weights(without.folder)
    assert all(torch.equal(value, expected[name]) for name, value in weights(unweighted.folder).items())


def test_liked_replies_stay_likelier_than_without(champion: Path) -> None:
    folders = improve(champion, "without", liked=()).folder, improve(champion, "with", liked_weight=1.0).folder
    prompts, replies = [row.prompt_ids for row in LIKED], [row.reply_ids for row in LIKED]
    without, held = (
        sum(map(sum, score_replies(load_causal(folder).model, prompts, replies))) / len(LIKED) for folder in folders
    )
    assert held > without + 1.0


def test_supervision_makes_the_liked_replies_likelier(champion: Path) -> None:
    replies = [[170, 171, 2]] * len(PROMPTS)
    supervise_generate(champion, PROMPTS, replies, champion.parent / "tuned", 0)
    scores = {
        folder: sum(map(sum, score_replies(load_causal(champion.parent / folder).model, PROMPTS, replies)))
        for folder in ("champion", "tuned")
    }
    assert scores["tuned"] > scores["champion"]


def test_best_of_n_is_at_least_as_good_as_one(champion: Path) -> None:
    model, sampling = load_causal(champion).model, Sampling(2, max_new_tokens=5)
    one, many = (
        best_of_n(model, likes_high_ids, PROMPTS, n, sampling, torch.Generator().manual_seed(0)) for n in (1, 6)
    )
    pairs = zip(likes_high_ids(PROMPTS, many), likes_high_ids(PROMPTS, one), strict=True)
    assert all(better >= worse for better, worse in pairs)
    assert likes_high_ids(PROMPTS, many) != likes_high_ids(PROMPTS, one)
