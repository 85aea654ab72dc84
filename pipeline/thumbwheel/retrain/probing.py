"""Both versions looked at for what no vote shows: broken weights, another tokenizer, and how they lean on probes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open

from thumbwheel.errors import InvalidInput
from thumbwheel.gates.evidence import Leanings
from thumbwheel.gates.probes import ReplyPair
from thumbwheel.policy.loading import CausalPolicy
from thumbwheel.policy.prompt import decode_reply, encode_prompt, encode_reply
from thumbwheel.policy.scoring import score_replies
from thumbwheel.records import GenerateAnswer, LoggedResponse, Message

_NO_LIMIT = 1_000_000_000


def not_finite_weights(folder: Path) -> int:
    """How many numbers in the folder's `*.safetensors` are NaN or infinite."""
    broken = 0
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            broken += sum(int((~torch.isfinite(file.get_tensor(name))).sum()) for name in file.keys())  # noqa: SIM118
    return broken


def reads_alike(
    champion: CausalPolicy, candidate: CausalPolicy, asked: Sequence[LoggedResponse], replies: Sequence[Sequence[int]]
) -> list[bool]:
    """Whether the candidate's tokenizer makes the tokens of each prompt that were logged, and the reply's same text."""
    return [
        _reads(candidate, one) and decode_reply(candidate.tokenizer, reply) == decode_reply(champion.tokenizer, reply)
        for one, reply in zip(asked, replies, strict=True)
    ]


def _reads(policy: CausalPolicy, asked: LoggedResponse) -> bool:
    answer = asked.answer
    assert isinstance(answer, GenerateAnswer)
    try:
        return tuple(encode_prompt(policy.tokenizer, answer.messages, _NO_LIMIT)) == answer.prompt_token_ids
    except InvalidInput:  # a conversation, where this tokenizer has no chat template
        return False


def leanings(champion: CausalPolicy, candidate: CausalPolicy, pairs: Sequence[ReplyPair]) -> Leanings:
    """Probability of the leaned reply over that of both, by either version; pairs too long for one are left out."""
    read = [pair for pair in pairs if _fits(champion, pair) and _fits(candidate, pair)]
    return Leanings(_leaned(champion, read), _leaned(candidate, read))


def _leaned(policy: CausalPolicy, pairs: Sequence[ReplyPair]) -> list[float]:
    if not pairs:
        return []
    prompts = [_prompt(policy, pair) for pair in pairs]
    leaned, other = (
        torch.tensor([sum(row) for row in score_replies(policy.model, prompts, replies)], dtype=torch.float64)
        for replies in zip(*(_replies(policy, pair) for pair in pairs), strict=True)
    )
    return [float(share) for share in torch.sigmoid(leaned - other)]


def _fits(policy: CausalPolicy, pair: ReplyPair) -> bool:
    return len(_prompt(policy, pair)) + max(map(len, _replies(policy, pair))) <= policy.max_tokens


def _prompt(policy: CausalPolicy, pair: ReplyPair) -> list[int]:
    return encode_prompt(policy.tokenizer, [Message("", pair.prompt)], _NO_LIMIT)


def _replies(policy: CausalPolicy, pair: ReplyPair) -> tuple[list[int], list[int]]:
    leaned, other = (encode_reply(policy.tokenizer, text) for text in (pair.leaned, pair.other))
    return leaned, other
