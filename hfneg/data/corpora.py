"""A `Corpus` from whatever a user has for one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hfneg.base import store
from hfneg.data import files
from hfneg.data.corpus import Corpus
from hfneg.data.files.frames import as_dataset
from hfneg.data.files.readable import check_name
from hfneg.data.layouts import names
from hfneg.errors import ColumnError, InputError


@store.disk_full_is_said()
def load_corpus(
    path: str,
    split: str | None = None,
    text: str | None = None,
    id: str | None = None,
    columns: Sequence[str] | None = None,
) -> Any:
    """A `Corpus` from a BEIR folder, a file, a saved dataset or a Hub id; `text` and `id` are columns of it."""
    check_name(path)
    if (Path(path) / "corpus.jsonl").is_file():
        return as_corpus(path)
    return as_corpus(files.load_any(path, split, columns), text=text, id=id)


def as_corpus(given: Any, text: str | None = None, id: str | None = None) -> Corpus | None:
    """A `Corpus` from what a user may pass: itself, a dataset, a frame, a list of texts or of rows, a path, or None.

    Args:
        given: see above; a dataset may be a `Dataset`, an `IterableDataset` or a `DatasetDict` of one split.
        text, id: columns of a dataset; by their usual names where left out. A column "title" is used too.
    """
    if given is None or isinstance(given, Corpus):
        return given
    if isinstance(given, str | Path):
        if (Path(given) / "corpus.jsonl").is_file():
            return Corpus.from_beir(given)
        given = files.load_any(str(given))
    given = as_dataset(given, "the corpus")
    if isinstance(given, dict):
        if len(given) != 1:
            raise InputError(f"the corpus has several splits ({', '.join(given)}); pass one of them (--corpus-split)")
        given = next(iter(given.values()))
    if hasattr(given, "column_names"):
        return _corpus_of_columns(given, text, id)
    if isinstance(given, Iterable) and not isinstance(given, Mapping):  # a list, a column of a dataset or of a frame
        texts = list(given)
        if all(isinstance(value, str) for value in texts):
            return Corpus.from_texts(texts)
    raise InputError(
        f"{type(given).__name__} is no corpus; pass a Corpus, a Dataset, a data frame, a list of texts or of rows "
        "(dictionaries), or a path"
    )


def _corpus_of_columns(given: Any, text: str | None, id: str | None) -> Corpus:
    text, id, title = columns_of(given, text, id)
    return Corpus.from_dataset(given, text=text, id=id, title=title)


def columns_of(given: Any, text: str | None = None, id: str | None = None) -> tuple[str, str | None, str | None]:
    """The columns of a dataset's texts, ids and titles: as given, or by their usual names; None where there is none."""
    there = given.column_names or list(next(iter(given), {}))  # a stream may not know its columns
    text = text or names.one_of(there, names.TEXTS) or (there[0] if len(there) == 1 else None)
    if text is None:
        raise ColumnError(
            f"cannot tell which column holds the documents' texts; the columns are {', '.join(there) or 'none'}: say "
            "--corpus-text COLUMN, or in Python pass Corpus.from_dataset(dataset, text=..., id=...)"
        )
    others = [name for name in there if name != text]
    title = names.one_of(others, names.TITLES)
    return text, id or _id_column(given, [name for name in others if name != title]), title


def _id_column(given: Any, there: Sequence[str]) -> str | None:
    """By its usual name; one that goes by a rarer name must hold one id for each document."""
    name = names.one_of(there, names.DOCUMENT_IDS)
    if name is None or name in names.LONG_KNOWN_IDS:
        return name
    if not hasattr(given, "num_rows"):
        return None
    values = given.with_format("arrow").select_columns(name)[:][name]
    whole = pa.types.is_integer(values.type) or pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
    own = whole and not values.null_count and pc.count_distinct(values).as_py() == len(values)
    return name if own else None
