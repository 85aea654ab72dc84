"""Scoring of tags: a word's first token speaks for it, and the numbers that are served are those that are logged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForTokenClassification, PreTrainedTokenizerFast

from thumbwheel.errors import DamagedArtifact, InvalidInput
from thumbwheel.policy.adopt import adopt
from thumbwheel.policy.tag import Tagger, load_tagger
from thumbwheel.records import PolicyKind

LABELS = ("O", "B-city", "I-city")
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "to", "ro", "##me", "new", "york", "我", "##x"]


def tokenizer(max_tokens: int = 12) -> PreTrainedTokenizerFast:
    made = Tokenizer(models.WordPiece({piece: n for n, piece in enumerate(PIECES)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", model_max_length=max_tokens
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(PIECES),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
        initializer_range=0.5,
        id2label=dict(enumerate(LABELS)),
        label2id={label: n for n, label in enumerate(LABELS)},
    )
    BertForTokenClassification(config).save_pretrained(tmp_path / "v1")
    tokenizer().save_pretrained(tmp_path / "v1")
    return tmp_path / "v1"


@pytest.fixture
def tagger(folder: Path) -> Tagger:
    return load_tagger(folder)


def by_hand(tagger: Tagger, ids: Sequence[int], places: Sequence[int], floor: float) -> torch.Tensor:
    """The same from the bare network: token ids and places of first tokens written down by whoever tests."""
    with torch.inference_mode():
        logits_TK = tagger.model(input_ids=torch.tensor([ids])).logits[0]
    return (1 - floor) * torch.softmax(logits_TK[list(places)], -1) + floor / len(LABELS)


def test_the_first_token_of_a_word_carries_its_tag(tagger: Tagger) -> None:
    [probs_WK] = tagger.probabilities([["to", "Rome", "我"]], 0.1)
    # [CLS] to ro ##me 我 [SEP]
    torch.testing.assert_close(probs_WK, by_hand(tagger, [2, 4, 5, 6, 9, 3], [1, 2, 4], 0.1))


def test_neighbours_in_a_batch_change_nothing(tagger: Tagger) -> None:
    texts = [["to"], ["to", "Rome", "new", "york", "我"], ["york", "to"]]
    together = tagger.probabilities(texts, 0.02)
    for words, probs_WK in zip(texts, together, strict=True):
        torch.testing.assert_close(probs_WK, tagger.probabilities([words], 0.02)[0])
        torch.testing.assert_close(probs_WK.sum(1), torch.ones(len(words)))
        assert float(probs_WK.min()) >= 0.02 / 3 - 1e-7


def test_what_is_too_long_or_unreadable_is_said_by_its_word(tagger: Tagger) -> None:
    words = ["rome"] * 6  # two tokens each, and two special ones
    assert tagger.token_count(words) == 14
    [cut] = tagger.encode([words])
    assert (len(cut.ids), cut.firsts, cut.lost) == (12, (1, 3, 5, 7, 9, -1), 5)
    with pytest.raises(InvalidInput, match=r"^tokens\[1\]"):
        tagger.probabilities([["to", "\u200b"]], 0.0)
    assert tagger.probabilities([], 0.0) == []


def test_a_noisy_model_serves_nothing(tagger: Tagger) -> None:
    tagger.model.train()
    with pytest.raises(RuntimeError, match="eval"):
        tagger.probabilities([["to"]], 0.0)


def test_an_existing_model_is_taken_as_it_is(folder: Path, tmp_path: Path) -> None:
    adopt(PolicyKind.TAG, str(folder), tmp_path / "taken")
    given, taken = (load_tagger(one).probabilities([["to", "rome"]], 0.0)[0] for one in (folder, tmp_path / "taken"))
    torch.testing.assert_close(given, taken)
    assert load_tagger(tmp_path / "taken").labels == LABELS
    with pytest.raises(InvalidInput, match="use --kind tag"):
        adopt(PolicyKind.CLASSIFY, str(folder), tmp_path / "other")


def test_damaged_folders_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DamagedArtifact, match=r"config\.json"):
        load_tagger(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {"0": "O"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises((DamagedArtifact, InvalidInput)):
        load_tagger(folder)
