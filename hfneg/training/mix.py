"""Negatives of several rounds in one dataset: new ones are harder, old ones keep what was learned from them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from hfneg.base import columns
from hfneg.base.settings import is_number, is_whole
from hfneg.errors import ColumnError, InputError, SettingError

ROUNDS = "hard_negative_rounds"  # list[int32], aligned: from which of the datasets, 1 is the first given
ALIGNED = (
    columns.NEGATIVES,
    columns.NEGATIVE_IDS,
    columns.NEGATIVE_SCORES,
    columns.NEGATIVE_TEACHER_SCORES,
    columns.NEGATIVE_SOURCES,
)


def mix_rounds(mined: Sequence[Any], n: int = 7, decay: float = 0.5) -> Any:
    """`n` negatives per row from the rounds `mined`, the oldest first; the newest counts most.

    A round of age a (0: the newest) gives a share proportional to decay ** a, its hardest first; a negative is taken
    once, from the newest round that has it, and what one round lacks the newer ones fill. Retrieval scores of
    different rounds are of different models: compare them only where ``hard_negative_rounds`` is the same.

    Args:
        mined: `Dataset` s with the same rows in the same order, each with ``hard_negatives`` and their ids.
        n: negatives per row, at most.
        decay: 0 takes the newest round only, 1 takes all alike.

    Returns the newest dataset with mixed columns and ``hard_negative_rounds``.
    """
    mined = list(mined)
    if not mined:
        raise InputError("mix_rounds needs at least one mined dataset")
    if not is_whole(n, 1) or not (is_number(decay) and 0 <= decay <= 1):
        raise SettingError(f"mix_rounds(n={n!r}, decay={decay!r}): n is a whole number from 1, decay from 0 to 1")
    for i, rows in enumerate(mined, 1):
        columns.require(columns.NEGATIVE_IDS, rows.column_names, f"ids of the negatives of dataset {i}")
        if len(rows) != len(mined[-1]):
            raise ColumnError(
                f"dataset {i} has {len(rows)} rows and the last {len(mined[-1])}; they must be the same rows"
            )
    kept = [name for name in ALIGNED if all(name in rows.column_names for rows in mined)]
    quotas = _quotas(n, len(mined), decay)
    mixed: dict[str, list[Any]] = {name: [] for name in (*kept, ROUNDS)}
    ends = [0]
    readers = [rows.select_columns(kept).with_format(None).iter(1_000) for rows in mined]
    for batches in zip(*readers, strict=True):
        for row in range(len(batches[0][kept[0]])):
            for rank, place in _taken([batch[columns.NEGATIVE_IDS][row] for batch in batches], quotas, n):
                for name in kept:
                    mixed[name].append(batches[rank][name][row][place])
                mixed[ROUNDS].append(rank + 1)
            ends.append(len(mixed[ROUNDS]))
    return _with_lists(mined[-1], mixed, ends)


def _quotas(n: int, count: int, decay: float) -> list[int]:
    """How many negatives each round gives, by largest remainder; the newest is the last."""
    weights = np.array([decay ** (count - 1 - i) for i in range(count)])
    exact = n * weights / weights.sum()
    quotas = np.floor(exact).astype(int)
    for i in sorted(range(count), key=lambda i: (quotas[i] - exact[i], -i))[: n - quotas.sum()]:
        quotas[i] += 1
    return [int(quota) for quota in quotas]


def _taken(ids: list[list[str]], quotas: list[int], n: int) -> list[tuple[int, int]]:
    """(round, place in its list) of a row's negatives: quotas first, newest round first, then what is left."""
    seen: set[str] = set()
    taken: list[tuple[int, int]] = []
    for quota in (quotas, [n] * len(ids)):
        for i in reversed(range(len(ids))):
            left = quota[i] if quota is quotas else n - len(taken)
            for place, id in enumerate(ids[i]):
                if left <= 0:
                    break
                if id not in seen:
                    seen.add(id)
                    taken.append((i, place))
                    left -= 1
    return taken[:n]


def _with_lists(newest: Any, mixed: dict[str, list[Any]], ends: list[int]) -> Any:
    """The newest dataset with these columns, cut at `ends`."""
    import datasets

    types = {name: newest.features[name] for name in mixed if name != ROUNDS}
    features = datasets.Features({**types, ROUNDS: datasets.List(datasets.Value("int32"))})
    lists = {name: [values[start:end] for start, end in pairwise(ends)] for name, values in mixed.items()}
    added = datasets.Dataset.from_dict(lists, features=features)
    rest = newest.remove_columns([name for name in (*ALIGNED, ROUNDS) if name in newest.column_names])
    return datasets.concatenate_datasets([rest, added], axis=1)
