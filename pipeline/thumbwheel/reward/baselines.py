"""Simpler models of the same votes. A reward model that sees no more than these has learned little of what is said."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from thumbwheel.reward.calibration import roc_auc
from thumbwheel.reward.rated_reply import RatedReply

LENGTH = "length of the reply"
TOKENS = "bag of its tokens"


def baseline_aucs(train: Sequence[RatedReply], held_out: Sequence[RatedReply]) -> dict[str, float]:
    """Return the AUC on held-out votes of models fitted to the training votes, by name; NaN where one side is empty.

    One knows the reply's length only, one how often each token is in it: logistic regressions, L2 with C = 1.
    """
    features = {LENGTH: _lengths, TOKENS: _token_counts}
    targets = [row.target > 0.5 for row in train]
    if len(set(targets)) < 2 or not held_out:
        return dict.fromkeys(features, float("nan"))
    width = 1 + max(max(row.reply_ids) for row in [*train, *held_out])
    aucs = {}
    for name, of in features.items():
        model = LogisticRegression(max_iter=500).fit(of(train, width), targets, [row.weight for row in train])
        scores = model.decision_function(of(held_out, width))
        aucs[name] = roc_auc(scores.tolist(), [row.target > 0.5 for row in held_out])
    return aucs


def _lengths(rows: Sequence[RatedReply], width: int) -> csr_matrix:
    return csr_matrix(np.log([[len(row.reply_ids)] for row in rows]))


def _token_counts(rows: Sequence[RatedReply], width: int) -> csr_matrix:
    """How often each of `width` tokens is in each reply; doubles are summed by the matrix."""
    columns = [token for row in rows for token in row.reply_ids]
    places = np.repeat(np.arange(len(rows)), [len(row.reply_ids) for row in rows])
    return csr_matrix((np.ones(len(columns)), (places, columns)), shape=(len(rows), width))
