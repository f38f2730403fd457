"""Which anchors a report shows: drawn by their texts, so that two rounds over the same pairs show the same ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hfneg.base.arrays import Ints
from hfneg.base.hashing import hash_normal_forms, mix
from hfneg.runs.folder.ledger_files import MinedLedger
from hfneg.runs.folder.ledger_texts import anchor_texts


@dataclass(frozen=True)
class ChosenAnchors:
    """Numbers of anchors, ascending, and their texts."""

    numbers: Ints
    texts: list[str]


def choose(ledger: MinedLedger, n: int, seed: int) -> ChosenAnchors:
    """The n anchors whose texts have the least hashes under the seed; all where there are no more."""
    kept = [(np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int64))]
    texts: dict[int, str] = {}
    first = 0
    for some in anchor_texts(ledger):
        keys = mix(seed, hash_normal_forms(some.to_pylist()))
        numbers = first + np.arange(len(keys))
        least = np.argsort(keys, kind="stable")[:n]
        kept.append((keys[least], numbers[least]))
        texts |= {int(number): some[int(number) - first].as_py() for number in numbers[least]}
        if len(texts) > 8 * n:
            kept, texts = _least(kept, texts, n)
        first += len(keys)
    kept, texts = _least(kept, texts, n)
    numbers = np.sort(kept[0][1])
    return ChosenAnchors(numbers, [texts[number] for number in numbers.tolist()])


def _least(
    kept: list[tuple[npt.NDArray[np.uint64], Ints]], texts: dict[int, str], n: int
) -> tuple[list[tuple[npt.NDArray[np.uint64], Ints]], dict[int, str]]:
    keys, numbers = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    least = np.lexsort((numbers, keys))[:n]
    return [(keys[least], numbers[least])], {number: texts[number] for number in numbers[least].tolist()}
