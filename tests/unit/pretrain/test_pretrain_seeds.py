"""Seeds as a version's folder keeps them: written and read for either kind, and none of them are none."""

from __future__ import annotations

from pathlib import Path

from thumbwheel.pretrain.corpus import LabelledText, TaggedWords, read_labelled, read_tagged
from thumbwheel.pretrain.seeds import read_seeds, write_seeds


def test_seeds_come_back_as_they_went(tmp_path: Path) -> None:
    path = tmp_path / "seeds.jsonl"
    texts = [LabelledText("wo ist mein Päckchen?", "track")]
    write_seeds(path, texts)
    assert path.read_text(encoding="utf-8") == '{"text": "wo ist mein Päckchen?", "label": "track"}\n'
    assert read_seeds(path, read_labelled) == tuple(texts)
    words = [TaggedWords(("to", "Zürich"), ("O", "B-city")), TaggedWords(("home",), ("O",))]
    write_seeds(path, words)
    first = '{"tokens": ["to", "Zürich"], "tags": ["O", "B-city"]}\n'
    assert path.read_text(encoding="utf-8") == first + '{"tokens": ["home"], "tags": ["O"]}\n'
    assert read_seeds(path, read_tagged) == tuple(words)


def test_a_version_that_never_had_seeds_has_none_when_it_is_handed_on(tmp_path: Path) -> None:
    assert read_seeds(tmp_path / "missing.jsonl", read_labelled) == ()
    write_seeds(tmp_path / "empty.jsonl", list[LabelledText]())
    assert read_seeds(tmp_path / "empty.jsonl", read_labelled) == ()
    assert read_seeds(tmp_path / "empty.jsonl", read_tagged) == ()
