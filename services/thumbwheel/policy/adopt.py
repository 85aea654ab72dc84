"""An existing model, from a folder or a hub, as a policy's first version."""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_never

from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from thumbwheel.errors import InvalidInput
from thumbwheel.records import PolicyKind


def adopt(kind: PolicyKind, source: str, folder: Path) -> None:
    """Load a model of `kind` and its tokenizer, and save both to `folder` as safetensors.

    `source` is a folder written by `save_pretrained`, or the id of a model on a hub, which is fetched over the
    network. Code that comes with a model is never run.

    Raises:
        InvalidInput: there is no such model, it is of another kind, or its weights are pickled only.
    """
    local, (loader, needs_padding) = Path(source).is_dir(), _needed(kind)
    try:
        model = loader.from_pretrained(
            source, dtype="float32", use_safetensors=True, trust_remote_code=False, local_files_only=local
        )
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, local_files_only=local)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        where = "the folder" if local else "the hub (is there a folder of that name, or a network?)"
        raise InvalidInput(
            "from", f"no {kind} model with safetensors weights and a tokenizer could be read from {where}: {source}"
        ) from error
    if needs_padding and tokenizer.pad_token_id is None:
        raise InvalidInput("from", f"the tokenizer of {source} has no padding token; add one that is not the end token")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _needed(kind: PolicyKind) -> tuple[Any, bool]:
    """The class that loads a model of the kind, and whether its tokenizer needs a padding token."""
    match kind:
        case PolicyKind.GENERATE:
            return AutoModelForCausalLM, True
        case PolicyKind.CLASSIFY:
            return AutoModelForSequenceClassification, False
        case PolicyKind.TAG:
            raise InvalidInput("kind", "models of kind tag can not be taken yet; use classify or generate")
        case _:
            assert_never(kind)
