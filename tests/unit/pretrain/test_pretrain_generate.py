"""A first policy: tokens as serving sees them, weights of the loss, same seed same weights."""

from pathlib import Path

import pytest
import torch
from tiny_policy import TINY, tiny_policy

from thumbwheel.errors import InvalidData
from thumbwheel.policy.loading import load_causal
from thumbwheel.policy.prompt import encode_prompt, encode_reply
from thumbwheel.pretrain.generate import _example, _weighted_loss, train_first_policy
from thumbwheel.records import Message

CHAT = (Message("user", "where is my parcel"), Message("assistant", "it is on its way"))
CHATS = [CHAT, (Message("user", "please cancel order 417"), Message("assistant", "order 417 is cancelled"))] * 4


def test_an_example_is_what_serving_encodes() -> None:
    tokenizer = tiny_policy().tokenizer
    prompt, reply = encode_prompt(tokenizer, CHAT[:1], 64), encode_reply(tokenizer, CHAT[1].content)
    example = _example(tokenizer, CHAT, TINY)
    assert example.ids == prompt + reply
    assert example.weights == [0.1] * len(prompt) + [1.0] * len(reply)


def test_every_assistant_turn_weighs_one() -> None:
    tokenizer = tiny_policy().tokenizer
    once, twice = _example(tokenizer, CHAT, TINY), _example(tokenizer, CHAT + CHAT, TINY)
    assert twice.weights.count(1.0) == 2 * once.weights.count(1.0)


def test_the_loss_is_a_weighted_mean_of_next_tokens() -> None:
    model, ids = tiny_policy().model, torch.tensor([[1, 4, 50, 51]])
    logprobs = model(ids).logits[0].log_softmax(-1)
    expected = -(0.1 * logprobs[0, 4] + 0.1 * logprobs[1, 50] + 1.0 * logprobs[2, 51]) / 1.2
    assert _weighted_loss(model, ids, torch.tensor([[0.1, 0.1, 0.1, 1.0]])).item() == pytest.approx(expected.item())


def test_same_seed_same_weights_and_loadable(tmp_path: Path) -> None:
    told: list[int] = []
    for name in ("a", "b"):
        train_first_policy(CHATS, tmp_path / name, 7, TINY, lambda step, steps, loss: told.append(step))
    a, b = (load_causal(tmp_path / name) for name in ("a", "b"))
    pairs = zip(a.model.state_dict().values(), b.model.state_dict().values(), strict=True)
    assert all(torch.equal(x, y) for x, y in pairs)
    assert told == [1, 2, 3, 1, 2, 3]
    assert a.tokenizer.pad_token_id != a.tokenizer.eos_token_id


def test_plain_text_and_mixtures(tmp_path: Path) -> None:
    train_first_policy([(Message("", "it is on its way"),)] * 4, tmp_path, 0, TINY)
    assert load_causal(tmp_path).tokenizer.chat_template is None
    with pytest.raises(InvalidData, match="mix of chats and plain text"):
        train_first_policy([(Message("", "text"),), CHAT], tmp_path, 0, TINY)
