"""Whether the champion reads texts as the versions did that answered: else logged tokens mean nothing to it.

A policy's versions share a tokenizer, since each is learned from the one before. One published by hand need not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from transformers import PreTrainedTokenizerBase

from thumbwheel.dataset.rows import SnapshotRow
from thumbwheel.errors import InvalidInput, Unlearnable
from thumbwheel.policy.prompt import encode_prompt
from thumbwheel.records import GenerateAnswer

# Answers of each version that are looked at: a tokenizer that differs does so on most texts.
_LOOKED_AT: Final = 50
_NO_LIMIT: Final = 1_000_000_000


def check_tokens(tokenizer: PreTrainedTokenizerBase, champion: str, rows: Iterable[SnapshotRow]) -> None:
    """Encode some prompts of each version anew and compare.

    Raises:
        Unlearnable: other tokens come out than were logged; names the versions.
    """
    looked_at, other = Counter[str](), Counter[str]()
    for row in rows:
        version = row.response.ref.version
        if looked_at[version] < _LOOKED_AT:
            looked_at[version] += 1
            other[version] += not _reads_as_logged(tokenizer, row)
    if not +other:
        return
    versions = ", ".join(f"{version} ({other[version]} of {looked_at[version]} prompts)" for version in sorted(+other))
    raise Unlearnable(
        f"the tokenizer of {champion} is not the one by which votes were collected: other tokens than were logged come "
        f"out for {versions}; promote a version with the tokenizer of those, or begin a policy of another name"
    )


def _reads_as_logged(tokenizer: PreTrainedTokenizerBase, row: SnapshotRow) -> bool:
    answer = row.response.answer
    assert isinstance(answer, GenerateAnswer)
    try:
        return tuple(encode_prompt(tokenizer, answer.messages, _NO_LIMIT)) == answer.prompt_token_ids
    except InvalidInput:  # a conversation, where this tokenizer has no chat template
        return False
