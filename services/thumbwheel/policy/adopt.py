"""An existing model, from a folder or a hub, as a policy's first version."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, assert_never

from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from thumbwheel.errors import InvalidInput
from thumbwheel.policy.loading import ADAPTER_FILE
from thumbwheel.policy.tag import demand_word_tokenizer
from thumbwheel.records import PolicyKind

_TOLD_WEIGHTS: Final = 3
_ENDINGS: Final = {
    PolicyKind.GENERATE: "ForCausalLM",
    PolicyKind.CLASSIFY: "ForSequenceClassification",
    PolicyKind.TAG: "ForTokenClassification",
}


def adopt(kind: PolicyKind, source: str, folder: Path, base: str = "") -> None:
    """Load a model of `kind` and its tokenizer, and save both to `folder` as safetensors.

    `source` is a folder written by `save_pretrained`, or the id of a model on a hub, which is fetched over the
    network. Code that comes with a model is never run. With `base` the source is the folder of a LoRA adapter, and the
    base, a folder or an id, the model that it was trained on: they are merged into one.

    Raises:
        InvalidInput: there is no such model, it is of another kind, its weights are incomplete or pickled only, the
            tokenizer of a causal one has no end token, or an adapter comes without its base or with another one.
    """
    _demand_there("from", source)
    _demand_there("base", base)
    _demand_base(source, base)
    model, tokenizer = _read(kind, base or source)
    if base:
        from thumbwheel.policy.adapter import merged  # brings a library along that nothing else here needs

        model = merged(model, Path(source), base)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _demand_there(field: str, place: str) -> None:
    """Refuse what only a folder is called, and is none, before a hub is asked for it."""
    if (place.startswith((".", "/")) or "\\" in place) and not Path(place).is_dir():
        raise InvalidInput(field, f"there is no folder {place}; name the folder of a model, or the id of one on a hub")


def _demand_base(source: str, base: str) -> None:
    """Refuse an adapter alone, which is no model, and a base for what is no adapter."""
    is_adapter = (Path(source) / ADAPTER_FILE).is_file()
    if is_adapter and not base:
        raise InvalidInput(
            "from", f"{source} holds an adapter ({ADAPTER_FILE}), not a whole model; name its model by --base"
        )
    if base and not is_adapter:
        raise InvalidInput("base", f"{source} holds no adapter (no {ADAPTER_FILE} in such a folder); leave --base out")
    if (Path(base) / ADAPTER_FILE).is_file():
        raise InvalidInput("base", f"{base} holds an adapter itself; name the whole model it was trained on")


def _read(kind: PolicyKind, source: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A whole model of the kind with its tokenizer, in float32."""
    local, loader = Path(source).is_dir(), _loader(kind)
    try:
        model, loading = loader.from_pretrained(
            source,
            dtype="float32",
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=local,
            output_loading_info=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, local_files_only=local)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        where = "the folder" if local else "the hub (is there a folder of that name, or a network?)"
        raise InvalidInput(
            "from", f"no {kind} model with safetensors weights and a tokenizer could be read from {where}: {source}"
        ) from error
    _demand_trained_as(kind, source, model)
    _demand_complete(source, loading["missing_keys"])
    if kind is PolicyKind.GENERATE:
        _demand_end(source, tokenizer)
    if kind is PolicyKind.TAG:
        demand_word_tokenizer(tokenizer, source)
    return model, tokenizer


def _demand_trained_as(kind: PolicyKind, source: str, model: PreTrainedModel) -> None:
    """Refuse a model saved as another class: transformers would put a new head of random weights on it."""
    saved_as = model.config.architectures or [type(model).__name__]
    if type(model).__name__ in saved_as:
        return
    other = next((one for one, ending in _ENDINGS.items() if any(ending in name for name in saved_as)), None)
    cure = f"use --kind {other}" if other not in (None, kind) else "choose one that was trained for it"
    raise InvalidInput("from", f"{source} holds a {', '.join(saved_as)}, not a model of kind {kind}; {cure}")


def _demand_complete(source: str, missing: Iterable[str]) -> None:
    """Refuse a model some of whose weights transformers has made up at random. Weights tied to others don't count."""
    names = sorted(missing)
    if names:
        more = f" and {len(names) - _TOLD_WEIGHTS} more" if len(names) > _TOLD_WEIGHTS else ""
        told = ", ".join(names[:_TOLD_WEIGHTS]) + more
        raise InvalidInput("from", f"{source} lacks weights ({told}); save the whole trained model there")


def _demand_end(source: str, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a tokenizer that has no token to end a reply with. One for padding is not needed: lengths tell what is."""
    if not isinstance(tokenizer.eos_token_id, int):
        raise InvalidInput(
            "from", f"the tokenizer of {source} has no end token; name one as eos_token in its tokenizer_config.json"
        )


def _loader(kind: PolicyKind) -> Any:
    """The class that loads a model of the kind."""
    match kind:
        case PolicyKind.GENERATE:
            return AutoModelForCausalLM
        case PolicyKind.CLASSIFY:
            return AutoModelForSequenceClassification
        case PolicyKind.TAG:
            return AutoModelForTokenClassification
        case _:
            assert_never(kind)
