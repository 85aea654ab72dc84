"""Hiding tokens in training, so that no single word decides."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase


def hide_tokens(ids_BT: Tensor, tokenizer: PreTrainedTokenizerBase, share: float) -> Tensor:
    """Replace a random `share` (0..1) of the tokens by the mask token; special tokens stay.

    A tokenizer without a mask token hides nothing. Draws from torch's global generator.
    """
    if share == 0 or tokenizer.mask_token_id is None:
        return ids_BT
    special_BT = torch.isin(ids_BT, torch.tensor(tokenizer.all_special_ids, device=ids_BT.device))
    hidden_BT = (torch.rand(ids_BT.shape, device=ids_BT.device) < share) & ~special_BT
    return ids_BT.masked_fill(hidden_BT, int(tokenizer.mask_token_id))
