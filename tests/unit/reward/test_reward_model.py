"""The reward model: learns a visible preference, keeps to masks, reads back, refuses what it can not learn from."""

from pathlib import Path
from random import Random

import pytest
import torch
from tiny_policy import tiny_policy

from thumbwheel.errors import DamagedArtifact, NotEnoughData
from thumbwheel.policy.scoring import pack
from thumbwheel.records import Feedback, FeedbackKind
from thumbwheel.reward.features import feature_width, token_features
from thumbwheel.reward.fit import RewardSettings, fit, measure
from thumbwheel.reward.head import RewardHead
from thumbwheel.reward.model import RewardModel, load_reward
from thumbwheel.reward.rated_reply import RatedReply, target_of

BACKBONE = tiny_policy().model
SETTINGS = RewardSettings(updates=200, batch_rows=32, least_votes=100, hidden=32)


def rated(count: int, seed: int = 0) -> list[RatedReply]:
    """Users like replies that have token 70 in them."""
    rng = Random(seed)
    rows: list[RatedReply] = []
    for _ in range(count):
        up = rng.random() < 0.5
        reply = [rng.randrange(80, 120) for _ in range(rng.randrange(2, 7))]
        if up:
            reply[rng.randrange(len(reply))] = 70
        rows.append(RatedReply((1, 4, rng.randrange(40, 60)), (*reply, 2), float(up), rater=f"u{len(rows) % 7}"))
    return rows


def test_features_by_hand() -> None:
    prompt, reply = [1, 4, 50], [70, 71]
    features = token_features(BACKBONE, pack([prompt, [1, 4]], [reply, [70, 71, 72]]))[0]
    out = BACKBONE(torch.tensor([prompt + reply]), output_hidden_states=True)
    logprobs = out.logits[0].log_softmax(-1)
    assert features.shape[-1] == feature_width(BACKBONE) == 2 * 16 + 3
    for t, token in enumerate(reply):
        row, hidden = logprobs[2 + t], out.hidden_states[-1][0]
        surprise = torch.stack([row[token], row[token] - row.max(), -(row.exp() * row).sum()])
        expected = torch.cat([hidden[2 + t], hidden[3 + t], surprise])
        assert torch.allclose(features[t], expected, atol=1e-4)


def test_padding_does_not_reach_the_score() -> None:
    head = RewardHead(5)
    features = torch.randn(1, 3, 5)
    padded = torch.cat([features, torch.full((1, 2, 5), 9.0)], dim=1)
    mask = torch.tensor([[True, True, True, False, False]])
    assert torch.allclose(head(features, mask[:, :3]), head(padded, mask))


def test_it_learns_a_preference_and_calibrates() -> None:
    model = fit(BACKBONE, rated(400), 0, SETTINGS)
    quality = measure(model, rated(200, seed=1))
    assert quality.auc > 0.75
    assert quality.calibration_error < 0.15
    assert abs(quality.length_correlation) < 0.5
    scores = torch.tensor(model.scores([r.prompt_ids for r in rated(400)], [r.reply_ids for r in rated(400)]))
    assert scores.mean().item() == pytest.approx(0.0, abs=1e-4)
    assert scores.std().item() == pytest.approx(1.0, abs=1e-3)


def test_same_seed_same_head_and_frozen_backbone() -> None:
    before = {name: value.clone() for name, value in BACKBONE.state_dict().items()}
    first, second = fit(BACKBONE, rated(120), 3, SETTINGS), fit(BACKBONE, rated(120), 3, SETTINGS)
    pairs = zip(first.head.state_dict().values(), second.head.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert all(torch.equal(value, before[name]) for name, value in BACKBONE.state_dict().items())


def test_saved_and_loaded_scores_are_equal(tmp_path: Path) -> None:
    model = RewardModel(BACKBONE, RewardHead(feature_width(BACKBONE), 8), mean=0.3, std=2.0)
    model.save(tmp_path)
    rows = rated(5)
    arguments = [r.prompt_ids for r in rows], [r.reply_ids for r in rows]
    assert load_reward(tmp_path, BACKBONE).scores(*arguments) == model.scores(*arguments)
    (tmp_path / "reward.safetensors").write_bytes(b"cut")
    with pytest.raises(DamagedArtifact, match="fit it again"):
        load_reward(tmp_path, BACKBONE)


def test_a_reward_model_of_another_policy_is_refused(tmp_path: Path) -> None:
    RewardModel(BACKBONE, RewardHead(11, 8)).save(tmp_path)
    with pytest.raises(DamagedArtifact, match="another policy"):
        load_reward(tmp_path, BACKBONE)


def test_too_few_votes_and_one_class_say_what_it_takes() -> None:
    with pytest.raises(NotEnoughData, match="99 votes, it takes 100"):
        fit(BACKBONE, rated(99), 0, SETTINGS)
    happy = [RatedReply(row.prompt_ids, row.reply_ids, 1.0) for row in rated(150)]
    with pytest.raises(NotEnoughData, match="only 0 thumbs down of 150"):
        fit(BACKBONE, happy, 0, SETTINGS)
    with pytest.raises(NotEnoughData, match="only 1 thumb down of 151"):
        fit(BACKBONE, [*happy, RatedReply(happy[0].prompt_ids, happy[0].reply_ids, 0.0)], 0, SETTINGS)


@pytest.mark.parametrize(("kind", "target"), [(FeedbackKind.THUMB, 1.0), (FeedbackKind.RANKING, None)])
def test_only_judgements_of_one_reply_become_targets(kind: FeedbackKind, target: float | None) -> None:
    vote = Feedback("f", "r", "u", "t", "p", "v1", kind, 0, thumb_up=True)
    assert target_of(vote) == target
