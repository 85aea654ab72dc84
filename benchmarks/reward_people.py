"""The reward model on what real people said of real answers, beside models that count words or tokens only.

    python benchmarks/reward_people.py --data FOLDER

Three sets, each split anew for every seed:

- tm4: thumbs on a clerk's next turn in a dialogue; AUC on dialogues whose opening was not learned from;
- pandalm: which of two answers each of three people prefers; accuracy on questions that were not learned from;
- mlqe: translations (English to Chinese) with ratings and corrections; Spearman's rho with the mean rating of unseen
  ones, learned from ratings, from edits, and from both.

The backbone is a small policy trained from scratch on the texts of the training part. What is done in the work folder
is not done again. About four minutes a seed and set on one thread.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from scipy.sparse import csr_matrix, vstack
from sklearn.linear_model import LogisticRegression, Ridge

from record import BUILD, record
from thumbwheel.policy.loading import CausalPolicy, load_causal
from thumbwheel.policy.prompt import encode_prompt, encode_reply
from thumbwheel.pretrain.corpus import Chat
from thumbwheel.pretrain.generate import FirstPolicySettings, train_first_policy
from thumbwheel.records import Message
from thumbwheel.reward.calibration import roc_auc
from thumbwheel.reward.fit import RewardSettings, fit
from thumbwheel.reward.rated_reply import Lesson, RankedReplies, RatedReply

COMMAND = "python benchmarks/reward_people.py --data FOLDER"
HELD_OUT = 0.25
MOST_ROWS = 3000
LEVELS = 5

Rows = Sequence[Mapping[str, Any]]
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Said:
    """One answer to one question, as people read it."""

    asked: Chat
    reply: str


@dataclass(frozen=True)
class Opinion:
    """What one person thought: a `rating` in [1, 5], a thumb (`up`), or of several answers the best first."""

    said: tuple[Said, ...]
    up: bool | None = None
    rating: int = 0
    rater: str = ""
    edited: bool = False


@dataclass(frozen=True)
class Part:
    """Opinions to learn from, answers to judge, and what says how well their scores judge."""

    opinions: Sequence[Opinion]
    judged: Sequence[Said]
    quality: Callable[[Scores], float]


@dataclass(frozen=True)
class Sizes:
    """How much is computed."""

    policy: FirstPolicySettings = FirstPolicySettings(vocabulary=2000, steps=500)
    reward: RewardSettings = RewardSettings()
    most_rows: int = MOST_ROWS


def tm4(folder: Path, seed: int, most: int) -> Part:
    """Thumbs on the next turn, split by the dialogue's opening: what the customer says first."""
    rows = _read(folder / "tm4_reward" / "train.jsonl.gz")
    held_out = _held_out([_opening(row) for row in rows], seed)
    said = [Said(_turns(row["context"]), _text(row["generation"])) for row in rows]
    train = [
        Opinion((one,), up=row["reward"] > 0)
        for row, one in zip(rows, said, strict=True)
        if _opening(row) not in held_out
    ]
    judged = [(one, row["reward"] > 0) for row, one in zip(rows, said, strict=True) if _opening(row) in held_out]
    ups = [up for _, up in judged]
    return Part(train[:most], [one for one, _ in judged], lambda scores: roc_auc(scores.tolist(), ups))


def pandalm(folder: Path, seed: int, most: int) -> Part:
    """Three people's preferences between two answers, split by question; ties are left out."""
    rows = _read(folder / "pandalm_human" / "all.jsonl")
    held_out = _held_out([row["instruction"] for row in rows], seed)
    opinions, judged, first_is_better = list[Opinion](), list[Said](), list[bool]()
    for row in rows:
        asked = (Message("user", f"{row['instruction']} {row['input']}".strip()),)
        pair = tuple(Said(asked, str(row[name]).strip() or "-") for name in ("response1", "response2"))
        votes = [row[f"annotator{n}"] for n in (1, 2, 3)]
        if row["instruction"] not in held_out:
            opinions += [
                Opinion(pair if vote == 1 else pair[::-1], rater=f"annotator{n}")
                for n, vote in enumerate(votes)
                if vote
            ]
        elif votes.count(1) != votes.count(2):
            judged += pair
            first_is_better.append(votes.count(1) > votes.count(2))

    def accuracy(scores: Scores) -> float:
        pairs_P2 = scores.reshape(-1, 2)
        right_P = np.where(first_is_better, pairs_P2[:, 0] > pairs_P2[:, 1], pairs_P2[:, 0] < pairs_P2[:, 1])
        return float(np.where(pairs_P2[:, 0] == pairs_P2[:, 1], 0.5, right_P).mean())

    return Part(opinions[:most], judged, accuracy)


def mlqe(folder: Path, seed: int, most: int, kinds: Sequence[str] = ("ratings", "edits")) -> Part:
    """Translations, split by sentence: ratings as five levels of equal count, and corrections."""
    rows = _read(folder / "mlqe_pe_en_zh" / "train.jsonl.gz")
    Random(f"mlqe {seed}").shuffle(rows)
    judged = rows[: min(1000, int(len(rows) * HELD_OUT))]
    train = rows[len(judged) : len(judged) + most]
    cuts = np.quantile([row["mean"] for row in train], np.arange(1, LEVELS) / LEVELS)
    opinions = []
    for row in train:
        said = _translation(row, row["mt"])
        if "ratings" in kinds:
            opinions.append(Opinion((said,), rating=1 + int(np.searchsorted(cuts, row["mean"], side="right"))))
        if "edits" in kinds and row["hter"] > 0:
            edited = _translation(row, row["post_edit_tok"].replace(" ", ""))
            opinions.append(Opinion((edited, said), edited=True))
    means = [row["mean"] for row in judged]

    def rho(scores: Scores) -> float:
        return float(stats.spearmanr(scores, means).statistic)

    return Part(opinions, [_translation(row, row["mt"]) for row in judged], rho)


TASKS: Mapping[str, tuple[str, float, Callable[[Path, int, int], Part]]] = {
    "tm4, thumbs": ("AUC", 0.5, tm4),
    "pandalm, preferences": ("accuracy", 0.5, pandalm),
    "mlqe, ratings": ("Spearman", 0.0, lambda folder, seed, most: mlqe(folder, seed, most, ("ratings",))),
    "mlqe, edits": ("Spearman", 0.0, lambda folder, seed, most: mlqe(folder, seed, most, ("edits",))),
    "mlqe, ratings and edits": ("Spearman", 0.0, mlqe),
}


def trial(task: str, data: Path, work: Path, seed: int, sizes: Sizes) -> dict[str, float]:
    """What the reward model and the simple ones reach on one task and seed, or what an earlier call found."""
    done = work / f"{task.replace(', ', '-').replace(' ', '-')}-{seed}.json"
    if done.exists():
        return dict(json.loads(done.read_text()))
    part = TASKS[task][2](data, seed, sizes.most_rows)
    policy = _backbone(part, work / f"{task.split(',')[0]}-{seed}", seed, sizes)
    lessons = [_lesson(one, policy) for one in part.opinions]
    settings = sizes.reward
    reward = fit(policy.model, lessons, seed, settings)
    prompts, replies = zip(*(_tokens(one, policy) for one in part.judged), strict=True)
    found = {"reward model": part.quality(np.array(reward.scores(prompts, replies)))}
    for name, of in (("bag of words", _counts), ("length only", _lengths)):
        found[name] = part.quality(_simple(part, of))
    done.write_text(json.dumps(found))
    return found


def _backbone(part: Part, folder: Path, seed: int, sizes: Sizes) -> CausalPolicy:
    """A small policy of the training texts: it says what is usual, not what is good."""
    if not (folder / "config.json").exists():
        texts = {one.said[-1] if one.edited else one.said[0] for one in part.opinions}
        ordered = sorted(texts, key=lambda one: (one.asked[-1].content, one.reply))
        chats = [(*one.asked, Message("assistant", one.reply)) for one in ordered]
        train_first_policy(chats, folder, seed, sizes.policy)
    return load_causal(folder)


def _tokens(said: Said, policy: CausalPolicy) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The last turns that fit into half of what the policy reads, and the reply, cut to the other half."""
    half = policy.max_tokens // 2
    reply = encode_reply(policy.tokenizer, said.reply)
    for start in range(len(said.asked)):
        prompt = encode_prompt(policy.tokenizer, said.asked[start:], 1_000_000)
        if len(prompt) <= half:
            break
    return tuple(prompt[-half:]), tuple(reply[:half])


def _lesson(one: Opinion, policy: CausalPolicy) -> Lesson:
    texts = [_tokens(said, policy) for said in one.said]
    if len(texts) > 1:
        replies = tuple(reply for _, reply in texts)
        return RankedReplies(texts[0][0], replies, len(replies), rater=one.rater, edited=one.edited)
    (prompt, reply), rating = texts[0], one.rating
    target = (rating - 1) / (LEVELS - 1) if rating else float(bool(one.up))
    return RatedReply(prompt, reply, target, rating=rating, rater=one.rater)


def _simple(part: Part, of: Callable[[Sequence[Said], Mapping[str, int]], csr_matrix]) -> Scores:
    """Scores of a linear model of counted things: logistic of thumbs and of differences, ridge of ratings."""
    known = {word for one in part.opinions for said in one.said for word in _words(said)}
    words = {word: n for n, word in enumerate(sorted(known))}
    columns = [of([one.said[place] for one in part.opinions], words) for place in (0, -1)]
    judged = of(part.judged, words)
    if any(len(one.said) > 1 for one in part.opinions) and not any(one.rating for one in part.opinions):
        gaps = columns[0] - columns[1]
        model = LogisticRegression(fit_intercept=False, max_iter=500)
        model.fit(vstack([gaps, -gaps]), [1] * gaps.shape[0] + [0] * gaps.shape[0])
        return np.asarray(judged @ model.coef_[0])
    single = [n for n, one in enumerate(part.opinions) if len(one.said) == 1]
    rated = columns[0][single]
    if any(one.rating for one in part.opinions):
        return np.asarray(Ridge(10.0).fit(rated, [part.opinions[n].rating for n in single]).predict(judged))
    thumbs = LogisticRegression(max_iter=500).fit(rated, [bool(part.opinions[n].up) for n in single])
    return np.asarray(thumbs.decision_function(judged))


def _counts(said: Sequence[Said], words: Mapping[str, int]) -> csr_matrix:
    known = [[words[word] for word in _words(one) if word in words] for one in said]
    places = np.repeat(np.arange(len(said)), [len(row) for row in known])
    columns = [column for row in known for column in row]
    return csr_matrix((np.ones(len(columns)), (places, columns)), shape=(len(said), len(words)))


def _lengths(said: Sequence[Said], words: Mapping[str, int]) -> csr_matrix:
    return csr_matrix(np.log1p([[len(one.reply)] for one in said]))


def _words(said: Said) -> list[str]:
    """Words; of a text without blanks, characters and pairs of them."""
    text = said.reply.lower()
    if " " in text.strip():
        return text.split()
    return [*text, *(a + b for a, b in zip(text, text[1:], strict=False))]


def _read(path: Path) -> list[dict[str, Any]]:
    content = path.read_bytes()
    text = gzip.decompress(content) if path.suffix == ".gz" else content
    return [json.loads(line) for line in text.decode("utf-8").split("\n") if line]


def _held_out(groups: Sequence[str], seed: int) -> set[str]:
    names = sorted(set(groups))
    return set(Random(f"held out {seed}").sample(names, max(1, int(len(names) * HELD_OUT))))


def _opening(row: Mapping[str, Any]) -> str:
    return next((turn["text"].lower() for turn in row["context"] if turn["role"] == "user"), "")


def _turns(context: Rows) -> Chat:
    roles = {"agent": "assistant", "user": "user"}
    return tuple(Message(roles.get(turn["role"], "system"), _text(turn)) for turn in context)


def _text(turn: Mapping[str, Any]) -> str:
    said = turn.get("text") or json.dumps(turn.get("api") or turn.get("response") or {}, ensure_ascii=False)
    return str(said).strip() or "-"


def _translation(row: Mapping[str, Any], text: str) -> Said:
    return Said((Message("user", row["src"].strip() or "-"),), text.strip() or "-")


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean over seeds, Student's t; infinite with one."""
    if len(values) < 2:
        return -np.inf, np.inf
    reach = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return fmean(values) - float(reach), fmean(values) + float(reach)


def _tell(task: str, found: Sequence[Mapping[str, float]]) -> str:
    cells = []
    for name in found[0]:
        values = [one[name] for one in found]
        low, high = interval(values)
        cells.append(f"{name} {fmean(values):.3f} ({low:.3f} to {high:.3f})")
    return f"{task}, {TASKS[task][0]}: " + ", ".join(cells)


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[dict[str, float]]] = {task: [] for task in options.tasks}
    for task in options.tasks:
        for seed in options.seeds:
            found[task].append(trial(task, options.data, options.work, seed, Sizes()))
            print(f"  {task}, seed {seed}: {found[task][-1]}", flush=True)
    for task, trials in found.items():
        print(_tell(task, trials))
        if len(trials) >= 3:
            _record(task, trials)


def _record(task: str, trials: Sequence[Mapping[str, float]]) -> None:
    """The goal: above a coin, and above both simple models, by the mean over seeds."""
    unit, chance, _ = TASKS[task]
    means = {name: fmean(one[name] for one in trials) for name in trials[0]}
    goal = max(chance, means["bag of words"], means["length only"])
    value = means["reward model"]
    record(f"reward, {task}", value, unit, f">= {goal:.3f}", value >= goal, COMMAND, _tell(task, trials))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the three data sets")
    parser.add_argument("--work", type=Path, default=BUILD / "reward_people", help="scratch folder")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    return parser.parse_args()


if __name__ == "__main__":
    main()
