"""Transformers' continuous batching as this product runs it: one way for answers that are served and for PPO's own.

While a manager runs, a plain forward pass on its model, or on one that shares its config object, is computed with the
wrong attention mask, without an error; afterwards too. So such a model is its manager's alone, for good.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from transformers import GenerationConfig
from transformers.generation import LogitsProcessorList
from transformers.generation.configuration_utils import ContinuousBatchingConfig
from transformers.generation.continuous_batching.cb_logits_processors import (
    ContinuousBatchingLogitsProcessor,
    ContinuousBatchingLogitsProcessorList,
)

from thumbwheel.errors import UnservableVersion
from thumbwheel.policy.loading import CausalPolicy
from thumbwheel.policy.prompt import end_token_id

# Tokens of one sequence that a block of the key-value cache holds.
TOKENS_PER_BLOCK: Final = 32
# Prompt tokens and decoded tokens of one step, at most; it also sizes the attention mask.
_STEP_TOKENS: Final = 512


@dataclass(frozen=True, slots=True)
class Batching:
    """How large: `blocks` of the key-value cache, `concurrent` sequences, `max_new_tokens` each; draws by `seed`."""

    blocks: int
    concurrent: int
    max_new_tokens: int
    seed: int


def batching_manager(policy: CausalPolicy, batching: Batching, processor: ContinuousBatchingLogitsProcessor) -> Any:
    """Return a manager over the model of `policy`, not yet started: bounded cache, synchronous steps, our own sampling.

    Raises:
        UnservableVersion: the model has layers without attention.
    """
    generation = GenerationConfig(
        do_sample=True,
        max_new_tokens=batching.max_new_tokens,
        eos_token_id=end_token_id(policy.tokenizer),
        pad_token_id=policy.tokenizer.pad_token_id,
    )
    config = ContinuousBatchingConfig(
        page_size=TOKENS_PER_BLOCK,
        num_blocks=batching.blocks,
        max_batch_tokens=max(_STEP_TOKENS, batching.concurrent),
        max_requests_per_batch=batching.concurrent,
        use_async_batching=False,
        use_cuda_graph=False,
        return_logprobs=True,
        auto_switch_to_flash=False,
        seed=batching.seed,
    )
    try:
        manager = policy.model.init_continuous_batching(generation, config)
    except (AttributeError, ValueError) as error:
        raise UnservableVersion(
            f"a {type(policy.model).__name__} can't be served: it has layers that can't be decoded in batches; "
            "begin with a model of another type, for example Llama, Qwen or GPT-2"
        ) from error
    processors = ContinuousBatchingLogitsProcessorList(LogitsProcessorList([processor]))
    processors.tensors_required = 1
    manager.logit_processor = processors
    return manager
