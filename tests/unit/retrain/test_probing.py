"""What no vote shows, measured: broken weights, another tokenizer, and how versions lean on pairs of replies."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_policy import TINY, tiny_policy

from thumbwheel.gates.probes import ReplyPair
from thumbwheel.policy.loading import CausalPolicy, save_causal
from thumbwheel.policy.prompt import encode_prompt, encode_reply
from thumbwheel.pretrain.tokenizer import train_tokenizer
from thumbwheel.records import Channel, GenerateAnswer, LoggedResponse, Message, VersionRef
from thumbwheel.retrain.probing import leanings, not_finite_weights, reads_alike

PAIRS = [
    ReplyPair("where is my parcel", "it is on its way", "order 417 is cancelled"),
    ReplyPair("please cancel order 417", "order 417 is cancelled", "it is"),
]


def test_each_weight_that_is_no_number_is_counted(tmp_path: Path) -> None:
    policy = tiny_policy()
    save_causal(policy, tmp_path)
    assert not_finite_weights(tmp_path) == 0
    weight = policy.model.get_parameter("model.layers.0.mlp.up_proj.weight")
    with torch.no_grad():
        weight[0, 0], weight[1, 2] = math.nan, -math.inf
    save_causal(policy, tmp_path)
    assert not_finite_weights(tmp_path) == 2


def nats(policy: CausalPolicy, prompt: str, reply: str) -> float:
    """log p(reply | prompt), token by token."""
    ids = encode_prompt(policy.tokenizer, [Message("", prompt)], 1_000)
    total = 0.0
    for token in encode_reply(policy.tokenizer, reply):
        with torch.no_grad():
            logits = policy.model(input_ids=torch.tensor([ids])).logits[0, -1].double()
        total += float(logits[token] - logits.logsumexp(0))
        ids.append(token)
    return total


def test_a_leaning_is_the_probability_of_one_reply_over_both() -> None:
    champion, candidate = tiny_policy(0), tiny_policy(1)
    found = leanings(champion, candidate, PAIRS)
    for policy, shares in ((champion, found.champion), (candidate, found.candidate)):
        for pair, share in zip(PAIRS, shares, strict=True):
            one, other = (math.exp(nats(policy, pair.prompt, reply)) for reply in (pair.leaned, pair.other))
            assert share == pytest.approx(one / (one + other), abs=1e-4)
    too_long = replace(PAIRS[0], leaned="order " * TINY.max_tokens)
    assert len(leanings(champion, candidate, [*PAIRS, too_long]).champion) == 2
    assert leanings(champion, candidate, [too_long]).champion == []


def test_another_tokenizer_reads_otherwise() -> None:
    champion = tiny_policy()
    messages = (Message("user", "where is my parcel"),)
    ids = tuple(encode_prompt(champion.tokenizer, messages, 1_000))
    reply = encode_reply(champion.tokenizer, "it is on its way")
    answer = GenerateAnswer(messages, "", ids, tuple(reply), (), 1.0, 1.0, 0, 8, "stop", 0, 1)
    asked = LoggedResponse("r", "q", VersionRef("p", "v1", "d"), Channel.CHAMPION, "", "u", "", 1, "", answer)
    assert reads_alike(champion, tiny_policy(1), [asked], [reply]) == [True]
    texts = ["lecrap ym si erehw"] * 5
    other = CausalPolicy(champion.model, train_tokenizer(texts, TINY.vocabulary, TINY.max_tokens, chat=True))
    assert reads_alike(champion, other, [asked], [reply]) == [False]
    without_chat = CausalPolicy(champion.model, train_tokenizer(texts, TINY.vocabulary, TINY.max_tokens, chat=False))
    assert reads_alike(champion, without_chat, [asked], [reply]) == [False]
    other_template = tiny_policy(1)  # the same text comes out for tokens, but not the same tokens for a chat
    other_template.tokenizer.chat_template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    assert reads_alike(champion, other_template, [asked], [reply]) == [False]
