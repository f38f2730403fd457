"""What every transform is: a small immutable callable, ``batch -> new columns``.

It declares what it needs and adds, pickles to settings and digests (which is also what `datasets` makes
its cache's fingerprint from), works once per unique anchor of a batch, and answers in the batch's form.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from hfneg.base import columns, html, store
from hfneg.base.arrays import Ints
from hfneg.base.lists import Lists

if TYPE_CHECKING:
    import datasets


TYPES: dict[str, str] = {
    columns.NEGATIVES: "string",
    columns.NEGATIVE_IDS: "string",
    columns.NEGATIVE_SCORES: "float32",
    columns.POSITIVE_SCORES: "float32",
    columns.NEGATIVE_SOURCES: "string",
    columns.NEGATIVE_TEACHER_SCORES: "float32",
    columns.POSITIVE_TEACHER_SCORES: "float32",
    columns.EXTRA_POSITIVES: "string",
    columns.EXTRA_POSITIVE_IDS: "string",
    columns.CANDIDATE_ROWS: "int64",
    columns.CANDIDATE_SCORES: "float32",
    columns.CANDIDATE_SOURCES: "uint8",
    columns.CANDIDATE_ORIGIN: "string",
    columns.CANDIDATE_SOURCE_SCORES: "float32",
    columns.CANDIDATE_SOURCE_RANKS: "int32",
    columns.CANDIDATE_POSITIVE_SCORES: "float32",
    columns.CANDIDATE_FIRST: "int64",
    columns.CANDIDATE_DEEPER_POSITIVE_SCORES: "float32",
    columns.CANDIDATE_VERDICTS: "uint8",
}
"""Every column hfneg adds is a list of these."""


class Transform:
    """Base of `Retrieve`, `Select` and their composition."""

    VERSION: ClassVar[int] = 1
    """Raise it when the same settings begin to give other values: rows cached by `datasets` are then made again."""

    remine: bool = False

    def __getstate__(self) -> dict[str, Any]:
        """Settings, digests and the version; what was opened on the way (cached properties) stays behind."""
        opened = {
            name
            for kind in type(self).__mro__
            for name, value in vars(kind).items()
            if isinstance(value, cached_property)
        }
        state = {name: value for name, value in self.__dict__.items() if name not in opened}
        return {**state, "version": self.VERSION}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({name: value for name, value in state.items() if name != "version"})

    @property
    def settings(self) -> dict[str, Any]:
        """What it was made with, by name."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        return html.facts(type(self).__name__, self.settings)

    @property
    def needs(self) -> dict[str, str]:
        """Columns that must be there, each with what it is wanted for."""
        raise NotImplementedError

    @property
    def adds(self) -> tuple[str, ...]:
        """Columns it adds."""
        raise NotImplementedError

    def _new_columns(self, batch: Mapping[str, Any]) -> dict[str, Lists]:
        raise NotImplementedError

    @store.disk_full_is_said()
    def __call__(self, batch: Any) -> Any:
        """For ``dataset.map(transform, batched=True)``."""
        names = list(batch.column_names) if isinstance(batch, pa.Table) else list(batch.keys())
        self.check(names)
        new = self._new_columns(batch)
        if isinstance(batch, pa.Table):
            return _extended(batch.drop_columns([name for name in self._drops(names) if name not in new]), new)
        if isinstance(batch, MutableMapping) and hasattr(batch, "keys_to_format"):  # a LazyBatch: see `drops`
            for name in self._drops(names):
                del batch[name]
        if isinstance(batch, dict) and isinstance(batch[names[0]], list):  # a stream's batch: its rows stay as returned
            return {name: [values.tolist() for values in lists.split()] for name, lists in new.items()}
        return {name: lists.split() for name, lists in new.items()}

    @property
    def drops(self) -> tuple[str, ...]:
        """Columns it uses up. `Dataset.map` drops them by itself.

        On a stream, or on a dataset with a NumPy or torch format, a function cannot drop columns: say
        ``remove_columns=list(t.drops)`` there.
        """
        return ()

    def _drops(self, names: list[str]) -> list[str]:
        stale = columns.OURS if self.remine else ()
        return [name for name in names if name in self.drops or (name in stale and name not in self.needs)]

    def check(self, names: list[str]) -> None:
        """Raise ColumnError unless a dataset with these columns can be mapped."""
        for column, role in self.needs.items():
            columns.require(column, names, role)
        columns.refuse_taken(names, self.adds, self.remine)

    def features(self, dataset: Any) -> datasets.Features:
        """The features of the mapped dataset: ``stream.map(t, batched=True, features=t.features(stream))``.

        Streams need them (`IterableDataset.map` loses its features otherwise); a `Dataset` does not.
        """
        import datasets

        features = dataset.features if hasattr(dataset, "features") else dataset
        if features is None:
            features = datasets.Features()
        self.check(list(features) or list(self.needs))
        dropped = self._drops(list(features))
        return with_columns({name: of for name, of in features.items() if name not in dropped}, self.adds)


def with_columns(features: Mapping[str, Any], added: Sequence[str]) -> datasets.Features:
    """These features and those of columns of ours."""
    import datasets

    return datasets.Features({**features, **{name: datasets.List(datasets.Value(TYPES[name])) for name in added}})


def _extended(table: pa.Table, new: dict[str, Lists]) -> pa.Table:
    """The user's table with our columns behind it (a dict would drop the user's columns here)."""
    for name, lists in new.items():
        if name in table.column_names:
            table = table.drop_columns([name])
        table = table.append_column(name, lists.arrow())
    return table


def unique(numbers: Ints) -> tuple[Ints, Ints, Ints]:
    """(first position of each distinct number, the numbers, for every row the place among them)."""
    distinct, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    return first, distinct, inverse.reshape(-1)
