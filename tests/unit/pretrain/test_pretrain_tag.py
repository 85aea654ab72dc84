"""A first tagger from the user's own tagged words: what its file may hold, what it sees, and that it learns it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tag_desk import TINY, first_tag_desk, tagged_texts

from thumbwheel.errors import InvalidData
from thumbwheel.policy.tag import load_tagger
from thumbwheel.pretrain.corpus import TaggedWords, read_tagged
from thumbwheel.pretrain.tag import deal_seed_tags, pretrain_tag, read_seed_tags, tag_names, target_tags


def test_tagged_words_are_read_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "words.jsonl"
    file.write_text('{"tokens": ["to", "Rome"], "tags": ["O", "B-city"]}\n\n{"tokens": ["我"], "tags": ["O"]}\n')
    assert read_tagged(file) == [TaggedWords(("to", "Rome"), ("O", "B-city")), TaggedWords(("我",), ("O",))]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"tokens": ["a", "b"], "tags": ["O"]}', "2 tokens but 1 tags: give each token one"),
        ('{"tokens": [], "tags": []}', '"tokens" must be a list of texts that is not empty'),
        ('{"tokens": ["a", " "], "tags": ["O", "O"]}', '"tokens" must be a text that is not empty'),
        ('{"tokens": "a", "tags": "O"}', '"tokens" must be a list'),
        ('{"tokens": ["a"], "tags": ["city"]}', "the tag 'city' is not"),
        ('{"tokens": ["a"], "tags": ["B- "]}', "write BIO tags"),
        (
            '{"tokens": ["a"], "tags": ["B-first name"]}',
            "\"tags\" has 'B-first name', with a blank in its name: write 'B-",
        ),
        ('{"tokens": ["a"], "tags": ["B-first\\u00a0name "]}', "write 'B-first_name'"),
        ('{"tokens": ["a"], "tags": ["I- name"]}', "write 'I-name'"),
        ('{"text": "a", "label": "b"}', "use --kind classify"),
        ('{"messages": []}', "use --kind generate"),
    ],
)
def test_bad_lines_are_named_with_their_cure(tmp_path: Path, line: str, problem: str) -> None:
    file = tmp_path / "words.jsonl"
    file.write_text(line + "\n")
    with pytest.raises(InvalidData) as caught:
        read_tagged(file)
    assert problem in str(caught.value)


def test_every_entity_has_both_its_tags_and_nothing_comes_first() -> None:
    rows = [TaggedWords(("a", "b"), ("I-day", "B-city"))]
    assert tag_names(rows) == ("O", "B-city", "I-city", "B-day", "I-day")
    with pytest.raises(InvalidData, match="tag some entities"):
        tag_names([TaggedWords(("a",), ("O",))])


def test_the_few_texts_have_every_tag_and_are_chosen_by_lot() -> None:
    rows = [TaggedWords((f"w{n}",), ("O",)) for n in range(200)] + [TaggedWords(("Rome",), ("B-city",))]
    for seed in range(5):
        dealt = deal_seed_tags(rows, 4, seed)
        assert len(dealt) == len(set(dealt)) == 4
        assert rows[-1] in dealt
    assert deal_seed_tags(rows, 4, 0) == deal_seed_tags(rows, 4, 0) != deal_seed_tags(rows, 4, 1)
    assert deal_seed_tags(rows, None, 0) == tuple(rows) == deal_seed_tags(rows, 999, 0)


def test_a_first_tagger_knows_what_it_saw_keeps_capitals_and_is_made_alike_again(tmp_path: Path) -> None:
    recipe = replace(TINY, least_updates=150)
    folder = first_tag_desk(tmp_path / "v1", recipe)
    tagger, seeds = load_tagger(folder), read_seed_tags(folder)
    assert tagger.labels == ("O", "B-city", "I-city", "B-day", "I-day")
    assert (len(seeds), tagger.max_tokens) == (8, 256)
    found = tagger.probabilities([row.tokens for row in seeds], 0.0)
    right = Counter(
        tagger.labels[index] == tag
        for row, probs_WK in zip(seeds, found, strict=True)
        for tag, index in zip(row.tags, probs_WK.argmax(1).tolist(), strict=True)
    )
    assert right[True] / right.total() > 0.9
    assert tagger.encode([["Rome"]])[0].ids != tagger.encode([["rome"]])[0].ids
    first_tag_desk(tmp_path / "again", recipe)
    for name in ("model.safetensors", "tokenizer.json", "seed_tags.jsonl"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_words_that_do_not_fit_have_no_target(tmp_path: Path) -> None:
    rows = tagged_texts(40, 1)
    pretrain_tag(rows, tmp_path, replace(TINY, max_tokens=6, least_updates=1, least_epochs=1))
    tagger = load_tagger(tmp_path)
    encoded = tagger.encode([row.tokens for row in rows])
    targets_P = target_tags(tagger, rows, encoded)
    logits_PK = tagger.logits(encoded)
    assert logits_PK.shape == (len(targets_P), 5)
    assert len(targets_P) < sum(len(row.tokens) for row in rows)
    by_hand = [
        tagger.labels.index(tag)
        for row, one in zip(rows, encoded, strict=True)
        for tag in row.tags[: sum(first >= 0 for first in one.firsts)]
    ]
    torch.testing.assert_close(targets_P, torch.tensor(by_hand))


def test_seed_tags_are_lines_of_the_same_form(tmp_path: Path) -> None:
    folder = first_tag_desk(tmp_path / "v1", replace(TINY, least_updates=1, least_epochs=1))
    lines = (folder / "seed_tags.jsonl").read_text().splitlines()
    assert [set(json.loads(line)) for line in lines] == [{"tokens", "tags"}] * 8
    (folder / "seed_tags.jsonl").unlink()
    assert read_seed_tags(folder) == ()
