"""Messages to token ids and back, through the chat template that travels with the policy's tokenizer."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from thumbwheel.errors import InvalidInput
from thumbwheel.records import ROLES, Message

_CHAT = "conversation.messages"


def encode_prompt(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], max_tokens: int) -> list[int]:
    """Return the prompt's token ids, ending where the reply begins.

    A bare prompt (one message of role `""`) is a user's turn where the policy has a chat template, and text to
    continue where it has none. Control tokens typed by a user (`<|end|>`) are encoded as ordinary text.

    Raises:
        InvalidInput: no messages, an unknown role, an empty content, or more than `max_tokens` tokens. The field is
            that of the request: `prompt` for a bare one, else `conversation.messages`.
    """
    _check(messages)
    ids = _encode_chat(tokenizer, messages) if tokenizer.chat_template else _encode_text(tokenizer, messages)
    if len(ids) > max_tokens:
        raise InvalidInput(
            "prompt" if _is_bare(messages) else _CHAT,
            f"has {len(ids)} tokens, at most {max_tokens} are allowed: shorten it",
        )
    return ids


def decode_reply(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    """Return the text of a reply's token ids, control tokens left out, outer blanks stripped."""
    text = tokenizer.decode(list(ids), skip_special_tokens=True)
    assert isinstance(text, str)  # one sequence in, one string out
    return text.strip()


def encode_reply(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Return the token ids of a finished reply: its text, then the end token. Inverse of `decode_reply`."""
    return [*_plain_ids(tokenizer, text), end_token_id(tokenizer)]


def end_token_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the id that ends a reply.

    Raises:
        InvalidInput: the tokenizer has no end token.
    """
    if not isinstance(tokenizer.eos_token_id, int):
        raise InvalidInput("tokenizer", "it has no end token (eos_token): set one in tokenizer_config.json")
    return tokenizer.eos_token_id


def _is_bare(messages: Sequence[Message]) -> bool:
    return len(messages) == 1 and messages[0].role == ""


def _check(messages: Sequence[Message]) -> None:
    if not messages:
        raise InvalidInput(_CHAT, "it is empty: send at least one message")
    bare = _is_bare(messages)
    for i, message in enumerate(messages):
        if not bare and message.role not in ROLES:
            raise InvalidInput(f"{_CHAT}[{i}].role", f"unknown role: use one of {', '.join(ROLES)}")
        if not message.content.strip():
            raise InvalidInput("prompt" if bare else f"{_CHAT}[{i}].content", "it is empty: send some text")


def _encode_chat(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[int]:
    chat = [{"role": m.role or "user", "content": m.content} for m in messages]
    ids = tokenizer.apply_chat_template(
        chat, add_generation_prompt=True, return_dict=False, sanitize_control_tokens=True
    )
    return [int(i) for i in ids]


def _encode_text(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[int]:
    if messages[0].role:
        raise InvalidInput(_CHAT, "this policy has no chat template: send a bare prompt instead")
    start = [tokenizer.bos_token_id] if isinstance(tokenizer.bos_token_id, int) else []
    return [*start, *_plain_ids(tokenizer, messages[0].content)]


def _plain_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Encode text with nothing added and nothing in it taken for a control token."""
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return [int(i) for i in ids]
