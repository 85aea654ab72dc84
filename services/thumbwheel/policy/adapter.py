"""A LoRA adapter merged into the model it was trained on."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Final

import peft
from peft.utils import get_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel

from thumbwheel.errors import InvalidInput

_WEIGHTS_FILE: Final = "adapter_model.safetensors"


def merged(model: PreTrainedModel, adapter: Path, base: str) -> PreTrainedModel:
    """Return `model`, read from `base`, with the adapter in the folder `adapter` added to its weights, in place.

    Raises:
        InvalidInput: the adapter can not be read, is pickled, or was trained on a model of other shapes.
    """
    weights = _weights(adapter)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they would tell is checked below
            adapted = peft.PeftModel.from_pretrained(model, str(adapter), is_trainable=False, low_cpu_mem_usage=False)
    except (ValueError, RuntimeError, KeyError) as error:
        raise _other_base(adapter, base) from error
    expected = get_peft_model_state_dict(adapted)
    if {name: value.shape for name, value in expected.items()} != {n: value.shape for n, value in weights.items()}:
        raise _other_base(adapter, base)
    whole: PreTrainedModel = adapted.merge_and_unload()
    return whole


def _weights(adapter: Path) -> dict[str, Tensor]:
    """The adapter's tensors; peft would read a pickled file where there is none of these."""
    try:
        return load_file(adapter / _WEIGHTS_FILE)
    except (OSError, SafetensorError) as error:
        raise InvalidInput(
            "from", f"{adapter} has no readable {_WEIGHTS_FILE}; save the adapter with safe serialization"
        ) from error


def _other_base(adapter: Path, base: str) -> InvalidInput:
    return InvalidInput(
        "base", f"the adapter {adapter} does not fit {base}: other layers or shapes; name the model it was trained on"
    )
