"""Token vectors from text without labels: which tokens keep which company.

The factorised matrix is the positive pointwise mutual information of tokens that stand near each other, which is
what skip-gram word vectors factorise too (Levy and Goldberg (2014), "Neural word embedding as implicit matrix
factorization"); counts of neighbours are smoothed by the power 0.75 (Levy, Goldberg and Dagan (2015), section 3.1).

Shape suffixes: V vocabulary, D dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from sklearn.utils.extmath import randomized_svd

_SMOOTHING = 0.75


def token_vectors(
    token_ids: Sequence[Sequence[int]], vocabulary: int, dimensions: int, seed: int, window: int = 5
) -> NDArray[np.float32]:
    """Vectors_VD of tokens from the texts they occur in; all zero for a token without company.

    `token_ids` are the texts without special tokens; tokens at most `window` apart are company.
    With fewer than `dimensions` distinct tokens the last columns are zero.
    """
    counts = _neighbours(token_ids, vocabulary, window)
    vectors_VD = np.zeros((vocabulary, dimensions), dtype=np.float32)
    if counts.nnz == 0:
        return vectors_VD
    rank = min(dimensions, vocabulary - 1)
    left, singular, _ = randomized_svd(_positive_pmi(counts), rank, random_state=seed)
    vectors_VD[:, :rank] = left * np.sqrt(singular)
    return vectors_VD


def _neighbours(token_ids: Sequence[Sequence[int]], vocabulary: int, window: int) -> sparse.csr_matrix:
    """How often each token stands within `window` of each other one, (V, V), symmetric."""
    stream, text = _flatten(token_ids)
    firsts, seconds = [], []
    for offset in range(1, window + 1):
        same = text[:-offset] == text[offset:]
        firsts.append(stream[:-offset][same])
        seconds.append(stream[offset:][same])
    first, second = np.concatenate(firsts), np.concatenate(seconds)
    ones = np.ones(2 * len(first))
    places = (np.concatenate([first, second]), np.concatenate([second, first]))
    return sparse.coo_matrix((ones, places), shape=(vocabulary, vocabulary)).tocsr()


def _flatten(token_ids: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All tokens in one row, and beside each the index of its text."""
    lengths = [len(ids) for ids in token_ids]
    stream = np.fromiter((token for ids in token_ids for token in ids), dtype=np.int64, count=sum(lengths))
    return stream, np.repeat(np.arange(len(lengths)), lengths)


def _positive_pmi(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """max(0, ln(p(a, b) / (p(a) p'(b)))), p' smoothed, for the pairs that occur."""
    row_sums = np.asarray(counts.sum(axis=1)).ravel()
    smoothed = row_sums**_SMOOTHING
    pairs = counts.tocoo()
    pmi = np.log(pairs.data * smoothed.sum() / (row_sums[pairs.row] * smoothed[pairs.col]))
    return sparse.csr_matrix((np.maximum(pmi, 0), (pairs.row, pairs.col)), shape=counts.shape)
