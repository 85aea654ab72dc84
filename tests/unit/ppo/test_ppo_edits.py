"""Replies as users corrected them: which they are, and the gradient they add, worked out by its formula."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_policy import tiny_causal, tiny_gpt2, tiny_policy, without_padding

from thumbwheel.config.settings import Learn
from thumbwheel.dataset.rows import SnapshotRow
from thumbwheel.policy.loading import load_causal, save_causal
from thumbwheel.policy.prompt import decode_reply, encode_reply
from thumbwheel.policy.scoring import score_replies
from thumbwheel.ppo.generate.edits import EditedReply, edited_replies
from thumbwheel.ppo.generate.improve import Improvement, improve_generate
from thumbwheel.ppo.generate.liked import add_likelihood_gradient
from thumbwheel.ppo.generate.settings import PpoSettings
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
from thumbwheel.reward.correction import Corrections
from thumbwheel.reward.features import featurise
from thumbwheel.reward.rated_reply import ranked_replies
from thumbwheel.workers.alone import Alone

PROMPTS = [[1, 4, 40 + i, 60 + i % 7, 2, 5][i % 3 :] for i in range(20)]
EDITS = tuple(EditedReply(tuple(prompt), (170, 171 + i, 2)) for i, prompt in enumerate(PROMPTS))


def row(votes: Sequence[tuple[FeedbackKind, str]], prompt: tuple[int, ...] = (1, 4, 50)) -> SnapshotRow:
    ref = VersionRef("chat", "v1", "sha256:0")
    answer = GenerateAnswer((Message("user", "hi"),), "no", prompt, (60, 2), (-1.0, -1.0), 1.0, 1.0, 0, 8, "stop", 0, 1)
    given = tuple(
        Feedback(f"f{i}", "r", "u", "", "chat", "v1", kind, i, edit=Edit(text=text) if text else None)
        for i, (kind, text) in enumerate(votes)
    )
    return SnapshotRow(LoggedResponse("r", "q", ref, Channel.CHAMPION, "", "u", "", 0, "", answer), given, Split.TRAIN)


def test_corrections_with_text_are_demonstrations_and_nothing_else_is() -> None:
    policy, edit = tiny_policy(), FeedbackKind.EDIT
    rows = [
        row([(FeedbackKind.THUMB, ""), (edit, "order 417 is cancelled")]),
        row([(edit, " ")]),
        row([(edit, " no ")]),
        row([(edit, "x")], ()),
    ]
    [found] = edited_replies(rows, Corrections(policy))
    assert found.prompt_ids == (1, 4, 50)
    assert decode_reply(policy.tokenizer, found.reply_ids) == "order 417 is cancelled"
    assert found.reply_ids[-1] == policy.tokenizer.eos_token_id


def test_a_correction_beyond_the_last_position_is_left_out_and_counted() -> None:
    policy = without_padding(tiny_gpt2())  # 64 positions, of which its tokenizer says nothing
    policy.tokenizer.model_max_length = int(1e30)
    corrections, texts = Corrections(policy), ("order 417 is cancelled " * 50, "order 417")
    found = edited_replies([row([(FeedbackKind.EDIT, text)]) for text in texts], corrections)
    assert [decode_reply(policy.tokenizer, one.reply_ids) for one in found] == [
        "order 417"
    ] and corrections.too_long == 1
    add_likelihood_gradient(policy.model, found, 1.0, 16, Alone())
    ends = [len(encode_reply(policy.tokenizer, "a" * length)) for length in (60, 61)]  # after a prompt of 3 tokens
    assert ends == [61, 62]
    rows = [row([(FeedbackKind.EDIT, "a" * length)]) for length in (60, 61)]
    assert [len(one.reply_ids) for one in edited_replies(rows, corrections)] == [61] and corrections.too_long == 2
    ranked = ranked_replies(rows, corrections)
    assert [len(one.replies[0]) for one in ranked] == [61]
    assert sum(1 for _ in featurise(policy.model, [ranked[0].prompt_ids], [ranked[0].replies[0]])) == 1


def test_the_gradient_at_the_head_is_the_mean_of_probability_less_one_hot_times_state() -> None:
    """For -log softmax(W h)[y] it is (p - onehot(y)) h'; the mean is over all reply tokens of all rows."""
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = tiny_causal("llama", **sizes, tie_word_embeddings=False)
    torch.nn.init.normal_(model.lm_head.weight, 0, 0.5)
    edits = [EditedReply((1, 4, 50), (70, 71, 2)), EditedReply((1, 44), (80, 2))]
    nats = add_likelihood_gradient(model, edits, 0.25, 16, Alone())
    expected, losses = np.zeros((300, 16)), []
    for edit in edits:
        out = model(torch.tensor([[*edit.prompt_ids, *edit.reply_ids]]), output_hidden_states=True)
        logits_TV, states_TD = (x[0].detach().double().numpy() for x in (out.logits, out.hidden_states[-1]))
        for t, token in enumerate(edit.reply_ids, start=len(edit.prompt_ids) - 1):
            probs_V = np.exp(logits_TV[t]) / np.exp(logits_TV[t]).sum()
            losses.append(-np.log(probs_V[token]))
            probs_V[token] -= 1
            expected += np.outer(probs_V, states_TD[t])
    assert nats == pytest.approx(sum(losses) / 5, rel=1e-5)
    assert np.allclose(model.lm_head.weight.grad.numpy(), 0.25 * expected / 5, rtol=1e-4, atol=1e-6)


def shortness(prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]]) -> list[float]:
    return [-float(len(reply)) for reply in replies]


def improve(folder: Path, out: str, weight: float) -> Improvement:
    settings = PpoSettings(
        iterations=3,
        episodes=16,
        minibatch=8,
        epochs=2,
        learning_rate=1e-2,
        max_new_tokens=6,
        least_prompts=10,
        edit_weight=weight,
    )
    return improve_generate(folder, shortness, PROMPTS, folder.parent / out, seed=1, edits=EDITS, settings=settings)


def test_edits_teach_as_much_as_their_weight_says(tmp_path: Path) -> None:
    assert Learn().edit_weight == PpoSettings().edit_weight == 0.0
    save_causal(tiny_policy(), tmp_path / "champion")
    without, held = (improve(tmp_path / "champion", str(weight), weight) for weight in (0.0, 1.0))
    assert "loss/edits" not in without.history[0]
    assert held.history[-1]["loss/edits"] < held.history[0]["loss/edits"]
    prompts, replies = [edit.prompt_ids for edit in EDITS], [edit.reply_ids for edit in EDITS]
    unlearned, learned = (
        sum(map(sum, score_replies(load_causal(done.folder).model, prompts, replies))) / len(EDITS)
        for done in (without, held)
    )
    assert learned > unlearned + 1.0
