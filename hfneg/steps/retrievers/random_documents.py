"""Documents at random: the baseline that hard negatives have to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from hfneg.base.arrays import Ints
from hfneg.base.hashing import hash_normal_forms, mix
from hfneg.base.settings import check, is_seed
from hfneg.data.corpus import Corpus
from hfneg.steps.retrievers.base import Retriever, Scores

ROUNDS = 4


@dataclass(frozen=True)
class RandomDocuments(Retriever):
    """k documents uniformly at random without replacement, for each anchor by (seed, anchor) alone.

    The score of the i-th is 1 / i. The first k of a larger draw are the draw of k.
    """

    seed: int = 0

    name: ClassVar[str] = "random"
    scores: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check(is_seed(self.seed), self, "seed", self.seed, "a whole number, 0 or more")

    def open(self, corpus: Corpus) -> RandomIndex:
        return RandomIndex(self.seed, len(corpus))


class RandomIndex:
    def __init__(self, seed: int, documents: int) -> None:
        self._seed, self._documents = seed, documents

    def search(self, queries: Any, k: int) -> tuple[Scores, Ints]:
        keys = mix(self._seed, hash_normal_forms(queries))
        places = np.tile(np.arange(k, dtype=np.uint64), (len(keys), 1))
        rows = permuted(places, keys[:, None], self._documents)
        scores = np.tile((1.0 / np.arange(1, k + 1)).astype(np.float32), (len(keys), 1))
        return scores, rows


def permuted(places: npt.NDArray[np.uint64], keys: npt.NDArray[np.uint64], size: int) -> Ints:
    """Element `places` of a pseudo-random permutation of 0 .. size - 1, one permutation per key.

    A Feistel network over the next even number of bits, walked until it lands inside (Black and Rogaway,
    CT-RSA 2002), so no permutation is ever written down.
    """
    half = np.uint64(max((max(size - 1, 1).bit_length() + 1) // 2, 1))
    low_mask = (np.uint64(1) << half) - np.uint64(1)
    keys = np.broadcast_to(keys, places.shape)
    values = places.copy()
    outside = np.ones(places.shape, dtype=bool)
    while outside.any():
        left, right = values[outside] >> half, values[outside] & low_mask
        for turn in range(ROUNDS):
            left, right = right, left ^ (mix(keys[outside], turn, right) & low_mask)
        values[outside] = (left << half) | right
        outside[outside] = values[outside] >= size
    return values.astype(np.int64)
