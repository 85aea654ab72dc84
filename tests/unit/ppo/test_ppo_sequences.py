"""Sequences padded on the right are scored as those padded on both sides; groups of like length lose no row."""

import pytest
import torch
from tiny_policy import tiny_gpt2, tiny_policy
from transformers import PreTrainedModel

from thumbwheel.policy.scoring import gather_logprobs, score_replies
from thumbwheel.ppo.generate.sequences import forward_tokens, of_like_length, pack_right

PROMPTS = [[1, 4, 50, 60, 61], [1], [1, 40, 2]]
REPLIES = [[70, 2], [71, 72, 73, 2], [74]]


@pytest.mark.parametrize("model", [tiny_policy().model, tiny_gpt2()], ids=["rotary", "absolute"])
def test_real_tokens_get_the_scorers_log_probabilities(model: PreTrainedModel) -> None:
    outputs = forward_tokens(model, pack_right(PROMPTS, REPLIES), temperature=0.3)
    replies = sum(score_replies(model, PROMPTS, REPLIES, 0.3), [])
    assert outputs.reply_logprobs_N.tolist() == pytest.approx(replies, abs=1e-5)
    longer = [prompt for prompt in PROMPTS if len(prompt) > 1]
    prompts = sum(score_replies(model, [p[:1] for p in longer], [p[1:] for p in longer], temperature=1.0), [])
    assert outputs.prompt_logprobs_M.tolist() == pytest.approx(prompts, abs=1e-5)
    assert outputs.hidden_ND.shape[0] == len(replies) == 7


def test_at_temperature_one_no_bit_differs_from_plain_logits() -> None:
    model, batch = tiny_policy().model, pack_right(PROMPTS, REPLIES)
    plain = gather_logprobs(model(input_ids=batch.ids_BT, use_cache=False).logits[:, :-1].float(), batch.ids_BT[:, 1:])
    outputs = forward_tokens(model, batch, temperature=1.0)
    assert torch.equal(outputs.reply_logprobs_N, plain[batch.reply_mask_BU])
    assert torch.equal(outputs.prompt_logprobs_M, plain[batch.prompt_mask_BU])


def test_groups_hold_every_row_once_and_go_by_length() -> None:
    assert of_like_length([2, 0, 1], PROMPTS, REPLIES, 2) == [[2, 1], [0]]
