"""PPO for `classify` on logged votes: the action is the served label, the reward is its thumb.

The importance ratio is (probability of the label under the new policy, floor mixed in as in serving) over (the
logged probability). Nothing is sampled here: the log is all there is.

Votes may come from older versions. Then the clip is put around the champion (the proximal policy), and what lies
between the champion and the version that served is a truncated weight: the decoupled objective of Hilton, Cobbe and
Schulman (2021), "Batch size-invariance for policy optimization", eq. 4, truncated as in Espeholt et al. (2018),
"IMPALA". For votes on the champion's own answers that weight is 1, and what is left is the clipped objective of PPO
(Schulman et al. (2017), "Proximal policy optimization algorithms", eq. 7) with one difference: the new policy is the
network under dropout and with some tokens hidden, the champion the network without. So the ratio is noisy, not 1 even
before the first step, and some of it is clipped for the noise alone: a noisy surrogate of that objective. The noise
stays because votes are few and would be learned by heart: with it, accuracy was measured 2 to 7 points higher.

Beside it the policy is held to explain votes of any age (`past_votes.py`).

Shape suffixes: N votes, B votes of a minibatch, K labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from thumbwheel.policy.classify import Classifier, load_classifier
from thumbwheel.ppo.checkpoint import Checkpoint
from thumbwheel.ppo.classify.past_votes import PastVote, past_vote_loss
from thumbwheel.ppo.classify.trainer import PastVotes, VoteTrainer
from thumbwheel.ppo.classify.votes import ClassifyVote, vote_columns
from thumbwheel.ppo.metrics import RoundDone
from thumbwheel.ppo.stopping import LEAST_VOTES, LaidAside
from thumbwheel.ppo.vote_loss import VotePpoSettings, finite_log, job_fingerprint, ppo_vote_loss
from thumbwheel.pretrain.classify import read_seed_labels, save_classifier
from thumbwheel.workers.alone import Alone
from thumbwheel.workers.port import Workers, share

# Texts scored together where no gradient is needed.
_SCORING_BATCH = 256


@dataclass(frozen=True, slots=True)
class ClassifyPpoSettings(VotePpoSettings):
    """The objective of PPO on votes on labels."""

    past_weight: float = 0.3
    """Factor on the cross-entropy of past votes."""
    wrong_votes: float = 0.05
    """Share of votes taken to be wrong when they are explained, in (0, 1/2)."""


@dataclass(frozen=True, slots=True)
class ClassifyImprovement:
    """What an update did. `largest_initial_logratio`: the largest |ln(champion / logged)| before it, in nats.

    It is 0 up to rounding when every vote is on an answer of the champion, served with the same floor: anything
    else there means that the logged numbers are not what was served.
    """

    votes: int
    seed_labels: int
    largest_initial_logratio: float
    history: list[dict[str, float]]
    """Each epoch's means: policy_loss, seed_loss, past_loss, approx_kl, clip_fraction, ratio, entropy, learning_rate...

    With votes laid aside also validation_value, what they say the epoch's policy would earn, and kept: 1 where the
    epoch's weights were the ones to keep so far.
    """


def improve_classify(  # noqa: PLR0913 - the inputs of a run, each with its own source
    champion: Path,
    votes: Sequence[ClassifyVote],
    candidate: Path,
    checkpoint: Path,
    settings: ClassifyPpoSettings | None = None,
    round_done: RoundDone = lambda done, total, metrics: None,
    workers: Workers | None = None,
    aside: Sequence[ClassifyVote] = (),
    past: Sequence[PastVote] = (),
) -> ClassifyImprovement:
    """Update the classifier in `champion` on `votes` and save it in `candidate`, seed labels handed on.

    It is held to explain the `past` votes, which may be of any age. Votes laid `aside`, at least
    `stopping.LEAST_VOTES`, choose the epoch; without any the last one's weights are saved.

    All `workers` call this with the same inputs; the first of them writes.

    After each epoch the state goes to the file `checkpoint`: a job that was killed and is called again with the same
    arguments goes on from there to the same weights; the file is removed at the end. The same arguments and numbers of
    threads and of workers give the same weights.

    Raises:
        NotEnoughData: there are no votes.
        InvalidData: rows of another policy.
    """
    settings, workers = settings or ClassifyPpoSettings(), workers or Alone()
    classifier = load_classifier(champion)
    seeds = read_seed_labels(champion)
    columns = vote_columns(votes, len(classifier.labels))
    texts = [vote.text for vote in votes]
    proximal_N = _log_probabilities(classifier, texts, columns.labels_N, settings.probability_floor, workers)
    loss = ppo_vote_loss(columns, proximal_N, settings)
    judges = _laid_aside(classifier, aside, settings.probability_floor, workers)
    explained = _past_votes(past, len(classifier.labels), settings)
    trainer = VoteTrainer(classifier, texts, seeds, loss, settings.training, workers, judges, explained)
    saved = Checkpoint(checkpoint, job_fingerprint(champion, [*votes, *aside, *past], settings), workers)
    history = trainer.train(saved, round_done)
    if workers.rank == 0:
        save_classifier(classifier, seeds, candidate)
    saved.clear()
    return ClassifyImprovement(
        votes=len(votes),
        seed_labels=len(seeds),
        largest_initial_logratio=float((proximal_N - columns.logged_N).abs().max()),
        history=history,
    )


def _past_votes(past: Sequence[PastVote], labels: int, settings: ClassifyPpoSettings) -> PastVotes | None:
    """What is learned from past votes; None where there are none, or they are to count nothing."""
    if not past or not settings.past_weight:
        return None
    loss = past_vote_loss(past, labels, settings.wrong_votes)
    return PastVotes([vote.text for vote in past], loss, settings.past_weight)


def _laid_aside(
    classifier: Classifier, votes: Sequence[ClassifyVote], floor: float, workers: Workers
) -> LaidAside | None:
    """What asks these votes; None where they are too few to say anything."""
    if len(votes) < LEAST_VOTES:
        return None
    columns, texts = vote_columns(votes, len(classifier.labels)), [vote.text for vote in votes]
    now = partial(_log_probabilities, classifier, texts, columns.labels_N, floor, workers)
    return LaidAside(columns.logged_N, (columns.advantages_N > 0).float(), now, columns.weights_N)


def _log_probabilities(
    classifier: Classifier, texts: Sequence[str], labels_N: Tensor, floor: float, workers: Workers
) -> Tensor:
    """ln of the probability each served label has now, dropout off, floor mixed in: (N,). Batches are dealt out."""
    probs_N = torch.zeros(len(texts))
    by_length = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    batches = [by_length[start : start + _SCORING_BATCH] for start in range(0, len(by_length), _SCORING_BATCH)]
    for rows in share(batches, workers):
        probs_BK = classifier.probabilities([texts[index] for index in rows], floor)
        probs_N[rows] = probs_BK.gather(1, labels_N[rows, None]).squeeze(1)
    workers.add_up(probs_N)
    return finite_log(probs_N)
