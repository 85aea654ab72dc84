"""PPO for `tag` on logged votes: the actions are the served tags, one a word; the reward is the vote.

The objective is that of `classify` (`ppo/classify/improve.py`), on words instead of texts: for each word the ratio is
(probability of its tag under the new policy, floor mixed in as in serving) over (the champion's), clipped, times a
truncated weight champion / logged. Tags are drawn word by word, each by itself, so the probability of a text's tags is
the product of theirs; but a product of many ratios says nothing (it is near 0 or huge), and a per-word ratio is what
the gradient of each word needs.

An edit rewards each word by itself. That says which tags were wrong, not which are right; so corrected texts are also
imitated, by plain supervision with a factor, whichever version answered them. A thumb or a rating is of the whole text,
and every word of it gets that reward as it is: what is wrong in a text is told from what is right beside it by the
other texts, and the clip keeps blame from driving right tags far. Two finer ways did worse with thumbs alone on the
simulated help desk (one seed each; F1 of entities from .703 with 800 votes, and from .903 with 1,000): raw .826 and
.945; blame shared by Bayes' rule, by how doubtful each tag was, .766 and .936; that less its expectation, .928 of the
second; raw less the mean, .940.

Shape suffix: N words of all votes, one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from thumbwheel.policy.tag import Tagger, load_tagger
from thumbwheel.ppo.checkpoint import Checkpoint
from thumbwheel.ppo.metrics import RoundDone
from thumbwheel.ppo.tag.trainer import TagVoteTrainer
from thumbwheel.ppo.tag.votes import TagVote, vote_columns
from thumbwheel.ppo.vote_loss import VotePpoSettings, finite_log, job_fingerprint, ppo_vote_loss
from thumbwheel.ppo.vote_updates import VoteTrainingSettings
from thumbwheel.pretrain.corpus import TaggedWords
from thumbwheel.pretrain.tag import read_seed_tags, save_tagger
from thumbwheel.workers.alone import Alone
from thumbwheel.workers.port import Workers, share

# Texts scored together where no gradient is needed.
_SCORING_BATCH = 128


@dataclass(frozen=True, slots=True)
class TagPpoSettings(VotePpoSettings):
    """The objective of PPO on votes on tags."""

    training: VoteTrainingSettings = field(default_factory=lambda: VoteTrainingSettings(batch_size=64))
    correction_weight: float = 1.0
    """Factor on the cross-entropy of corrected texts, in nats a word."""


@dataclass(frozen=True, slots=True)
class TagImprovement:
    """What an update did. `largest_initial_logratio`: the largest |ln(champion / logged)| of a word, in nats.

    It is 0 up to rounding when every vote is on an answer of the champion, served with the same floor: anything
    else there means that the logged numbers are not what was served.
    """

    votes: int
    words: int
    seed_texts: int
    largest_initial_logratio: float
    history: list[dict[str, float]]
    """Each epoch's means: policy_loss, seed_loss, approx_kl, clip_fraction, ratio, entropy, learning_rate, ..."""


def improve_tag(  # noqa: PLR0913 - the inputs of a run, each with its own source
    champion: Path,
    votes: Sequence[TagVote],
    candidate: Path,
    checkpoint: Path,
    settings: TagPpoSettings | None = None,
    round_done: RoundDone = lambda done, total, metrics: None,
    workers: Workers | None = None,
    corrected: Sequence[TaggedWords] = (),
) -> TagImprovement:
    """Update the tagger in `champion` on `votes` and save it in `candidate`, seed tags handed on.

    `corrected` texts, with the tags that users gave them, are imitated. All `workers` call this with the same inputs;
    the first of them writes. A job that was killed goes on from the file `checkpoint` to the same weights, as
    `improve_classify` does.

    Raises:
        NotEnoughData: there are no votes.
        InvalidData: rows of another policy.
    """
    settings, workers = settings or TagPpoSettings(), workers or Alone()
    tagger, seeds = load_tagger(champion), read_seed_tags(champion)
    columns = vote_columns(votes, len(tagger.labels))
    proximal_N = _log_probabilities(tagger, votes, settings.probability_floor, workers)
    loss = ppo_vote_loss(columns, proximal_N, settings)
    texts, imitated = [vote.tokens for vote in votes], (corrected, settings.correction_weight)
    trainer = TagVoteTrainer(tagger, texts, seeds, loss, settings.training, workers, None, *imitated)
    saved = Checkpoint(checkpoint, job_fingerprint(champion, [*votes, *corrected], settings), workers)
    history = trainer.train(saved, round_done)
    if workers.rank == 0:
        save_tagger(tagger, seeds, candidate)
    saved.clear()
    return TagImprovement(
        votes=len(votes),
        words=len(columns.labels_N),
        seed_texts=len(seeds),
        largest_initial_logratio=float((proximal_N - columns.logged_N).abs().max()),
        history=history,
    )


def _log_probabilities(tagger: Tagger, votes: Sequence[TagVote], floor: float, workers: Workers) -> Tensor:
    """ln of the probability each served tag has now, dropout off, floor mixed in: (N,). Batches are dealt out."""
    probs = [torch.zeros(len(vote.tags)) for vote in votes]
    by_length = sorted(range(len(votes)), key=lambda row: len(votes[row].tokens))
    batches = [by_length[start : start + _SCORING_BATCH] for start in range(0, len(by_length), _SCORING_BATCH)]
    for rows in share(batches, workers):
        found = tagger.probabilities([votes[row].tokens for row in rows], floor)
        for row, probs_WK in zip(rows, found, strict=True):
            probs[row] = probs_WK.gather(1, torch.tensor(votes[row].tags)[:, None]).squeeze(1)
    probs_N = torch.cat(probs)
    workers.add_up(probs_N)
    return finite_log(probs_N)
