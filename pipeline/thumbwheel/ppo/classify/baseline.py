"""What PPO on votes is to be compared with: plain supervision on the labels that got a thumb up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from thumbwheel.errors import NotEnoughData
from thumbwheel.policy.classify import load_classifier
from thumbwheel.ppo.checkpoint import Checkpoint
from thumbwheel.ppo.classify.trainer import VoteTrainer, VoteTrainingSettings
from thumbwheel.ppo.classify.votes import ClassifyVote
from thumbwheel.ppo.metrics import Metrics, RoundDone
from thumbwheel.ppo.vote_loss import job_fingerprint
from thumbwheel.pretrain.classify import read_seed_labels, save_classifier


def supervise_classify(
    champion: Path,
    votes: Sequence[ClassifyVote],
    candidate: Path,
    checkpoint: Path,
    settings: VoteTrainingSettings | None = None,
    round_done: RoundDone = lambda done, total, metrics: None,
) -> list[dict[str, float]]:
    """Train the classifier in `champion` on the labels users liked, as if they were right; save it in `candidate`.

    Same network, minibatches, seed labels and schedule as `improve_classify`; votes down are not used.
    Returns each epoch's figures. Raises NotEnoughData when no vote is up.
    """
    settings = settings or VoteTrainingSettings()
    liked = [vote for vote in votes if vote.reward > 0]
    if not liked:
        raise NotEnoughData("no vote is up: there is nothing to imitate")
    classifier, seeds = load_classifier(champion), read_seed_labels(champion)
    labels_N = torch.tensor([vote.label for vote in liked])

    def loss(logits_BK: Tensor, rows_B: Tensor, count: int) -> tuple[Tensor, Metrics]:
        return functional.cross_entropy(logits_BK, labels_N[rows_B], reduction="sum") / count, {}

    saved = Checkpoint(checkpoint, job_fingerprint(champion, liked, settings))
    history = VoteTrainer(classifier, [vote.text for vote in liked], seeds, loss, settings).train(saved, round_done)
    save_classifier(classifier, seeds, candidate)
    saved.clear()
    return history
