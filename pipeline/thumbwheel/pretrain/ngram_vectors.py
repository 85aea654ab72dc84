"""Vectors of n-grams from texts without labels: which n-grams keep which company.

Latent semantic analysis (Deerwester et al. (1990), "Indexing by latent semantic analysis"): the singular vectors of
the matrix of texts by n-grams, each n-gram weighted by its inverse document frequency and each text of length 1.

Shape suffixes: N n-grams (rows of the table), D dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from sklearn.utils.extmath import randomized_svd


def ngram_vectors(texts: Sequence[NDArray[np.int64]], ngrams: int, dimensions: int, seed: int) -> NDArray[np.float32]:
    """Vectors_ND of n-grams whose sum over a text tells what the text is about; all zero for one that never occurs.

    `texts` are the n-grams of each text, as numbers below `ngrams`. With fewer texts than `dimensions` the last
    columns are zero.
    """
    vectors_ND = np.zeros((ngrams, dimensions), dtype=np.float32)
    matrix, rarity_N = _weighted(texts, ngrams)
    rank = min(dimensions, len(texts), ngrams)
    if matrix.nnz == 0:
        return vectors_ND
    _, singular, right = randomized_svd(matrix, rank, random_state=seed)
    told = singular > 1e-6 * singular[0]
    # The sum over a text is its left singular vector times the root of the singular values: directions that many
    # texts share count more, but less than they do in the matrix.
    vectors_ND[:, :rank][:, told] = (right[told].T * rarity_N[:, None]) / np.sqrt(singular[told])
    return vectors_ND


def _weighted(texts: Sequence[NDArray[np.int64]], ngrams: int) -> tuple[sparse.csr_matrix, NDArray[np.float64]]:
    """Texts by n-grams, and the inverse document frequency of each n-gram, 1 + ln((1 + texts) / (1 + with it))."""
    columns = [np.unique(text) for text in texts]
    ends = np.cumsum([0, *map(len, columns)])
    occurs = sparse.csr_matrix((np.ones(ends[-1]), np.concatenate(columns), ends), shape=(len(texts), ngrams))
    with_it_N = np.asarray(occurs.sum(axis=0)).ravel()
    rarity_N = 1 + np.log((1 + len(texts)) / (1 + with_it_N))
    weighted = occurs @ sparse.diags(rarity_N)
    lengths = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    return (sparse.diags(1 / np.maximum(lengths, 1e-12)) @ weighted).tocsr(), rarity_N
