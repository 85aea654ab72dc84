"""One reward model from votes of every kind: each alone teaches the same preference, and bad data are named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from tiny_policy import tiny_policy

from thumbwheel.config.settings import Learn
from thumbwheel.dataset.rows import SnapshotRow
from thumbwheel.errors import NotEnoughData
from thumbwheel.policy.prompt import encode_reply
from thumbwheel.records import (
    Channel,
    Edit,
    Feedback,
    FeedbackKind,
    GenerateAnswer,
    LoggedResponse,
    Message,
    Split,
    VersionRef,
)
from thumbwheel.reward.calibration import Calibration, calibrate, of_the_mean, roc_auc
from thumbwheel.reward.correction import Corrections
from thumbwheel.reward.features import Readout, read
from thumbwheel.reward.fit import RewardSettings, fit, measure
from thumbwheel.reward.head import RewardHead
from thumbwheel.reward.lessons import columns, folds_by_rater, losses
from thumbwheel.reward.losses import ranking_loss, rating_loss, thumb_loss
from thumbwheel.reward.model import careful, load_reward
from thumbwheel.reward.rated_reply import Lesson, RankedReplies, RatedReply, ranked_replies, rated_replies

POLICY = tiny_policy()
SETTINGS = RewardSettings(updates=120, batch_rows=32, least_votes=100, hidden=16)
PROMPT = (1, 4, 50)


def reply(rng: Random, good: bool) -> tuple[int, ...]:
    tokens = [rng.randrange(80, 120) for _ in range(rng.randrange(2, 7))]
    if good:
        tokens[rng.randrange(len(tokens))] = 70
    return (*tokens, 2)


def lessons(kind: str, count: int = 300) -> list[Lesson]:
    """Users like replies that have token 70 in them."""
    rng, made = Random(0), list[Lesson]()
    for n in range(count):
        good, rater = n % 2 == 0, f"u{n % 7}"
        if kind == "thumbs":
            made.append(RatedReply(PROMPT, reply(rng, good), float(good), rater=rater))
        elif kind == "ratings":
            stars = rng.choice([4, 5] if good else [1, 2, 3])
            made.append(RatedReply(PROMPT, reply(rng, good), (stars - 1) / 4, rating=stars, rater=rater))
        else:
            best, rest = reply(rng, True), [reply(rng, False) for _ in range(1 if kind == "edits" else 3)]
            made.append(RankedReplies(PROMPT, (best, *rest), 1, rater=rater, edited=kind == "edits"))
    return made


@pytest.mark.parametrize("kinds", [["thumbs"], ["ratings"], ["rankings"], ["edits"], ["thumbs", "ratings", "rankings"]])
def test_every_kind_teaches_the_same_preference(kinds: list[str]) -> None:
    rows = [one for kind in kinds for one in lessons(kind, 300 // len(kinds))]
    model = fit(POLICY.model, rows, 0, SETTINGS)
    rng = Random(9)
    held_out = [(reply(rng, n % 2 == 0), n % 2 == 0) for n in range(120)]
    scores = model.scores([PROMPT] * 120, [one for one, _ in held_out])
    assert roc_auc(scores, [good for _, good in held_out]) > 0.8


def test_a_batch_of_all_kinds_has_the_loss_of_each() -> None:
    rows: list[Lesson] = [
        RatedReply(PROMPT, (80, 2), 1.0),
        RankedReplies(PROMPT, ((70, 2), (81, 2), (82, 2)), 2),
        RatedReply(PROMPT, (83, 2), 0.25, rating=2),
        RankedReplies(PROMPT, ((71, 2), (84, 2)), 2, edited=True),
    ]
    facts, cuts_KL = columns(rows, [0, 1, 0, 1]), torch.tensor([[-1.0, 0.0, 1.0, 2.0], [-2.0, -1.0, 0.5, 3.0]])
    assert facts.slots == 7
    s_SK = torch.randn(7, 2, generator=torch.Generator().manual_seed(0))
    batch = torch.tensor([2, 1, 0, 3])
    order = [*facts.slots_of(2), *facts.slots_of(1), *facts.slots_of(0), *facts.slots_of(3)]
    found_BK = losses(s_SK[order], cuts_KL, batch, facts)
    for member in range(2):
        s_S = s_SK[:, member]
        expected = [
            rating_loss(s_S[4:5], torch.tensor([2]), cuts_KL[member]),
            ranking_loss(s_S[None, 1:4], torch.tensor([3]), torch.tensor([2])),
            thumb_loss(s_S[:1], torch.tensor([1.0])),
            ranking_loss(s_S[None, 5:7], torch.tensor([2]), torch.tensor([2])),
        ]
        assert found_BK[:, member].tolist() == pytest.approx(torch.cat(expected).tolist(), abs=1e-6)


def test_raters_are_held_out_together_in_folds_of_like_size() -> None:
    rows: list[Lesson] = [RatedReply(PROMPT, (80, 2), 1.0, rater=f"u{n % 5}") for n in range(100)]
    folds = folds_by_rater(rows, 3)
    assert {len({fold for row, fold in zip(rows, folds, strict=True) if row.rater == f"u{n}"}) for n in range(5)} == {1}
    assert sorted(folds.count(fold) for fold in range(3)) == [20, 40, 40]
    assert folds_by_rater(rows[:2], 3) == [0, 1]


def test_what_is_told_of_two_raters_is_of_members_that_know_nothing_of_them() -> None:
    """Each calls good what the other calls bad: who has learned from one foretells the other worse than chance."""
    rng, made = Random(0), list[Lesson]()
    for n in range(300):
        good, rater = n % 4 < 2, f"u{n % 2}"
        made.append(RatedReply(PROMPT, reply(rng, good), float(good == (rater == "u0")), rater=rater))
    told = fit(POLICY.model, made, 0, SETTINGS)
    assert told.head.members == 2
    assert max(told.told["left_out_auc"].values()) < 0.4


def test_where_raters_are_not_known_nobody_is_trusted_and_nothing_calibrated() -> None:
    rows = [replace(one, rater="" if n % 50 == 0 else one.rater) for n, one in enumerate(lessons("thumbs"))]
    model = fit(POLICY.model, rows, 0, SETTINGS)
    assert model.calibration == Calibration() and model.told["trust"] == {"raters": 0.0}
    assert not model.told["apart"] and fit(POLICY.model, lessons("thumbs"), 0, SETTINGS).told["apart"]


def test_one_head_is_refused_for_it_leaves_nobody_out() -> None:
    with pytest.raises(ValueError, match="at least 2, got 1"):
        RewardSettings(members=1)
    with pytest.raises(ValidationError, match="greater than or equal to 2"):
        Learn(reward_members=1)


def test_members_are_separate_and_their_disagreement_counts_against_a_reply() -> None:
    torch.manual_seed(0)
    head = RewardHead(5, hidden=4, members=3)
    tokens_NC, lengths_B = torch.randn(7, 5), torch.tensor([3, 4])
    together_BK = head.of_tokens(tokens_NC, lengths_B).detach()
    weights_KU, weight_UC, bias_U = (p.detach() for p in (head.weight_KU, head.token.weight, head.token.bias))
    for k in range(3):
        own = slice(4 * k, 4 * k + 4)
        units_NH = torch.nn.functional.gelu(tokens_NC @ weight_UC[own].T + bias_U[own])
        for b, part in enumerate((units_NH[:3], units_NH[3:])):
            expected = float(torch.cat([part.mean(0), part.amax(0)]) @ weights_KU[k])
            assert together_BK[b, k].item() == pytest.approx(expected, abs=1e-5)
    logits_NK = torch.tensor([[1.0, 1.0, 1.0], [0.0, 1.0, 2.0]])
    assert careful(logits_NK, 0.5).tolist() == pytest.approx([1.0, 1.0 - 0.5 * (2 / 3) ** 0.5])


def test_a_poisoner_is_told_apart_and_weighs_less() -> None:
    rows = lessons("thumbs", 400)
    poisoned = [replace(r, target=1 - r.target) if isinstance(r, RatedReply) and r.rater == "u3" else r for r in rows]
    trust = fit(POLICY.model, poisoned, 0, SETTINGS).told["trust"]
    assert trust["raters"] == 7 and trust["below_half"] == 1 and trust["least"] < 0.5 < 0.9 < trust["median"]
    assert fit(POLICY.model, poisoned, 0, replace(SETTINGS, trust=False)).told["trust"] == {"raters": 0.0}


def test_the_readout_that_foretells_best_is_taken_and_read_back(tmp_path: Path) -> None:
    pooled_first = replace(SETTINGS, readouts=(Readout.POOLED, Readout.SURPRISE))
    model = fit(POLICY.model, lessons("thumbs"), 0, pooled_first)
    aucs = model.told["left_out_auc"]
    assert set(aucs) == {"pooled", "surprise"}
    assert model.readout.value == max(aucs, key=lambda name: aucs[name])
    only_pooled = fit(POLICY.model, lessons("thumbs"), 0, replace(SETTINGS, readouts=(Readout.POOLED,)))
    only_pooled.save(tmp_path)
    again, texts = load_reward(tmp_path, POLICY.model), ([PROMPT], [(70, 80, 2)])
    assert again.readout is Readout.POOLED and again.told == json.loads(json.dumps(only_pooled.told))
    assert again.scores(*texts) == only_pooled.scores(*texts)
    assert again.probabilities(*texts) == only_pooled.probabilities(*texts)


def test_the_pooled_readout_is_the_mean_of_states_that_have_read() -> None:
    features = torch.arange(2 * 7, dtype=torch.float32).reshape(2, 7)  # D = 2: [before 2, after 2, surprise 3]
    assert read(features, Readout.POOLED).tolist() == [[(2 + 9) / 2, (3 + 10) / 2]]
    assert read(features, Readout.SURPRISE) is features


def test_scores_are_normalised_on_the_reference_policys_replies() -> None:
    rows = [replace(one, version="v2" if n < 120 else "v1") for n, one in enumerate(lessons("thumbs"))]
    model = fit(POLICY.model, rows, 0, SETTINGS, reference="v2")
    scores = torch.tensor(model.scores([PROMPT] * 120, [one.replies[0] for one in rows[:120]]))
    assert scores.mean().item() == pytest.approx(0.0, abs=1e-4)
    assert scores.std().item() == pytest.approx(1.0, abs=1e-3)


def test_calibration_finds_the_temperature_and_bias_it_was_made_with() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=20_000)
    ups = rng.random(20_000) < 1 / (1 + np.exp(-truth))
    found = calibrate(3 * (truth - 0.5), ups)  # sigma(z / 3 + 0.5)
    assert found.temperature == pytest.approx(3.0, rel=0.05)
    assert found.bias == pytest.approx(0.5, abs=0.05)
    assert found.probabilities([1.5])[0] == pytest.approx(1 / (1 + np.exp(-1.5 / found.temperature - found.bias)))
    assert calibrate([1.0, 2.0], [True, True]) == calibrate([1.0, -1.0] * 30, [False, True] * 30)


def test_a_fit_is_calibrated_for_the_mean_of_its_heads() -> None:
    rows = lessons("thumbs")
    model = fit(POLICY.model, rows, 0, SETTINGS)
    logits_NK = model.logits([one.prompt_ids for one in rows], [one.replies[0] for one in rows]).double().numpy()
    left_out_N = logits_NK[np.arange(len(rows)), folds_by_rater(rows, 3)]
    single = calibrate(left_out_N, [one.target > 0.5 for one in rows if isinstance(one, RatedReply)])
    expected = of_the_mean(single, logits_NK)
    assert model.calibration.temperature == pytest.approx(expected.temperature, rel=0.01)
    assert expected.temperature < 0.97 * single.temperature
    assert model.calibration.bias == pytest.approx(expected.bias, abs=0.01)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "0 votes, it takes 100"),
        ([RatedReply(PROMPT, (80, 2), 0.5, rating=3, rater=f"u{n}") for n in range(200)], "all 200 votes are 3 of 5"),
        ([RatedReply(PROMPT, (80, 2), 1.0, rater=f"u{n}") for n in range(200)], "only 0 thumbs down of 200"),
        ([RatedReply(PROMPT, (80, 2), float(n % 2), rater="u") for n in range(200)], "all 200 votes are one rater's"),
    ],
)
def test_data_that_teach_nothing_are_named(rows: list[Lesson], said: str) -> None:
    with pytest.raises(NotEnoughData, match=said):
        fit(POLICY.model, rows, 0, SETTINGS)


def test_votes_that_take_no_side_are_not_judged_by() -> None:
    model = fit(POLICY.model, lessons("thumbs"), 0, SETTINGS)
    rows = [one for one in lessons("thumbs", 40) if isinstance(one, RatedReply)]
    quality = measure(model, [*rows, RatedReply(PROMPT, (90, 2), 0.5, rating=3)])
    assert quality.votes == 40 and quality.majority == 0.5 and quality.accuracy > 0.7


def served(name: str, text: str) -> LoggedResponse:
    ids = tuple(encode_reply(POLICY.tokenizer, text)) if text else ()
    said = GenerateAnswer((Message("user", "x"),), text, PROMPT, ids, (), 1.0, 1.0, 0, 9, "stop", 0, 3)
    return LoggedResponse(name, "q", VersionRef("chat", "v1", "d"), Channel.CHAMPION, "", "u", "", 0, "", said)


def vote(kind: FeedbackKind, rater: str = "u", **what: object) -> Feedback:
    return replace(Feedback("f", "r1", rater, "", "chat", "v1", kind, 0), **what)  # type: ignore[arg-type]


def test_votes_become_lessons() -> None:
    votes = (
        vote(FeedbackKind.THUMB, thumb_up=False),
        vote(FeedbackKind.RATING, rating=4),
        vote(FeedbackKind.RANKING, ranking=("r3", "r1", "gone", "r2", "empty")),
        vote(FeedbackKind.EDIT, edit=Edit("order 417 is cancelled")),
        vote(FeedbackKind.EDIT, rater="a1", edit=Edit(" order 417 ")),
        vote(FeedbackKind.EDIT, rater="a1", edit=Edit("order 417 is cancelled " * 20)),
    )
    beside = (served("r2", "is cancelled"), served("r3", "on its way"), served("empty", ""))
    row = SnapshotRow(served("r1", "order 417"), votes, Split.TRAIN, 2.0, beside)
    rated = rated_replies([row], anonymous_as_one=True)
    assert [(one.target, one.rating, one.rater, one.version, one.weight) for one in rated] == [
        (0.0, 0, "u", "v1", 2.0),
        (0.75, 4, "u", "v1", 2.0),
    ]
    corrections = Corrections(POLICY)
    ranking, edit = ranked_replies([row], corrections, anonymous_as_one=True)
    texts = [POLICY.tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in ranking.replies]
    assert texts == ["on its way", "order 417", "is cancelled"] and ranking.ordered == 3 and not ranking.edited
    assert corrections.too_long == 1
    assert edit.edited and edit.replies[1] == rated[0].reply_ids and edit.weight == 2.0
    assert POLICY.tokenizer.decode(edit.replies[0], skip_special_tokens=True).strip() == "order 417 is cancelled"
