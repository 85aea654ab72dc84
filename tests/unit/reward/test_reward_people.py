"""The benchmark on people's votes, very small and on made-up sets: splits, scores, and what is not done again."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from random import Random

import numpy as np
import pytest

from reward_people import TASKS, Sizes, interval, mlqe, pandalm, tm4, trial
from thumbwheel.pretrain.generate import FirstPolicySettings
from thumbwheel.reward.fit import RewardSettings

TINY = Sizes(
    FirstPolicySettings(
        steps=2, batch_rows=4, width=16, layers=1, heads=2, feed_forward=16, vocabulary=300, max_tokens=64
    ),
    RewardSettings(updates=10, hidden=4, least_votes=20, least_votes_of_a_side=3),
    most_rows=60,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("data"), Random(0)
    rows: dict[str, list[dict[str, object]]] = {"tm4_reward": [], "pandalm_human": [], "mlqe_pe_en_zh": []}
    for n in range(60):
        context = [{"role": "agent", "text": "hello"}, {"role": "user", "text": f"a coffee {n % 12}"}]
        generation = {"role": "agent", "text": "yes please"} if n % 3 else {"role": "agent", "api": {"order": {"n": 1}}}
        rows["tm4_reward"].append({"context": context, "generation": generation, "reward": float(n % 3 > 0)})
        pair = {"instruction": f"shorten {n % 8}", "input": "", "response1": "short", "response2": "much too long"}
        rows["pandalm_human"].append({**pair, "annotator1": 1, "annotator2": 1, "annotator3": n % 2})
        translation = {"src": f"word {n}", "mt": "是的" * (1 + n % 3), "post_edit_tok": "是 的 。", "hter": n % 2 / 2}
        rows["mlqe_pe_en_zh"].append({**translation, "mean": rng.uniform(0, 100)})
    for name, file in (
        ("tm4_reward", "train.jsonl.gz"),
        ("pandalm_human", "all.jsonl"),
        ("mlqe_pe_en_zh", "train.jsonl.gz"),
    ):
        (folder / name).mkdir()
        content = "".join(json.dumps(row) + "\n" for row in rows[name]).encode()
        (folder / name / file).write_bytes(gzip.compress(content) if file.endswith("gz") else content)
    return folder


def test_what_is_judged_was_not_learned_from(data: Path) -> None:
    part = tm4(data, 0, 1000)
    openings = {one.said[0].asked[1].content for one in part.opinions}
    assert openings.isdisjoint({one.asked[1].content for one in part.judged}) and len(openings) == 9
    assert len(part.opinions) + len(part.judged) == 60
    assert tm4(data, 1, 1000).judged != part.judged
    questions = pandalm(data, 0, 1000)
    assert {o.said[0].asked for o in questions.opinions}.isdisjoint({one.asked for one in questions.judged})
    translations = mlqe(data, 0, 1000)
    assert {o.said[0].asked for o in translations.opinions}.isdisjoint({one.asked for one in translations.judged})


def test_the_measures_by_hand(data: Path) -> None:
    part = tm4(data, 0, 1000)
    says_yes = np.array([float(one.reply == "yes please") for one in part.judged])
    assert part.quality(says_yes) == 1.0 and part.quality(-says_yes) == 0.0 and part.quality(0 * says_yes) == 0.5
    questions = pandalm(data, 0, 1000)
    shortness = np.array([-float(len(one.reply)) for one in questions.judged])
    assert questions.quality(shortness) == 1.0 and questions.quality(0 * shortness) == 0.5
    assert all(one.said[0].reply == "short" for one in questions.opinions)
    reach = 4.3027 * 0.1 / 3**0.5
    assert list(interval([0.6, 0.7, 0.8])) == pytest.approx([0.7 - reach, 0.7 + reach], abs=1e-4)


@pytest.mark.parametrize("task", TASKS)
def test_a_trial_is_done_once(data: Path, tmp_path: Path, task: str) -> None:
    found = trial(task, data, tmp_path, 0, TINY)
    assert set(found) == {"reward model", "bag of words", "length only"}
    assert all(np.isfinite(value) for value in found.values())
    if task.startswith("pandalm"):
        assert found["length only"] == found["bag of words"] == 1.0
    (kept,) = tmp_path.glob("*.json")
    kept.write_text(json.dumps({"reward model": 7.0}))
    assert trial(task, data, tmp_path, 0, TINY) == {"reward model": 7.0}
