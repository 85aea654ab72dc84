"""A causal policy from a folder: safetensors only, no remote code, dropout off, a config object of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from thumbwheel.errors import DamagedArtifact

# What marks a folder of peft's: the adapter's shape, and the name of the model it belongs to.
ADAPTER_FILE: Final = "adapter_config.json"


@dataclass(frozen=True, slots=True)
class CausalPolicy:
    """A causal language model and its tokenizer. `max_tokens` bounds prompt and reply together."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    @property
    def max_tokens(self) -> int:
        """Longest sequence that the model's positions allow, in tokens."""
        return int(getattr(self.model.config, "max_position_embeddings", 1024))


def load_causal(folder: Path) -> CausalPolicy:
    """Load a `save_pretrained` folder in float32, in evaluation mode.

    Every call reads its own config object: models that share one also share its attention setting, and a running
    batching manager would then turn the other model's attention bidirectional without a word.

    Raises:
        DamagedArtifact: a file is missing or unreadable, the weights are not safetensors, or they are an adapter's.
    """
    check_safetensors(folder)
    check_whole(folder)
    disable_progress_bar()
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            config=config,
            dtype="float32",
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
        )
        tokenizer = load_tokenizer(folder)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise DamagedArtifact(f"{folder.name}: not a readable policy folder: restore it or roll back") from error
    turn_dropout_off(model)
    return CausalPolicy(model.eval(), tokenizer)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a `save_pretrained` folder. Raises OSError or ValueError where it can not be read."""
    return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def save_causal(policy: CausalPolicy, folder: Path) -> None:
    """Write weights (safetensors), config and tokenizer into `folder`, as `load_causal` reads them."""
    disable_progress_bar()
    policy.model.save_pretrained(folder)
    policy.tokenizer.save_pretrained(folder)


def check_safetensors(folder: Path) -> None:
    """Refuse a folder without `*.safetensors` weights: pickled weights can run code when they are read.

    Raises:
        DamagedArtifact: there are none.
    """
    if not any(folder.glob("*.safetensors")):
        raise DamagedArtifact(f"{folder.name}: no *.safetensors weights: save it with safe serialization")


def check_whole(folder: Path) -> None:
    """Refuse the folder of an adapter (LoRA): with its library at hand another model would be fetched and changed.

    Raises:
        DamagedArtifact: it is one.
    """
    if (folder / ADAPTER_FILE).exists():
        raise DamagedArtifact(
            f"{folder.name}: it holds an adapter ({ADAPTER_FILE}), not a whole model: take it with "
            "`thumbwheel policy init --from ADAPTER --base MODEL`, which merges the two"
        )


def turn_dropout_off(model: nn.Module) -> None:
    """Set every dropout to 0, so that a model in training mode scores as it was sampled."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
