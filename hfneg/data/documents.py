"""Reading the documents of a corpus: id and text of every row, checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from hfneg.base import columns
from hfneg.base.files.strings import not_unicode
from hfneg.errors import DocumentError, InputError

Document = tuple[str, str]
"""Id and text."""


def read_documents(
    dataset: Iterable[Mapping[str, Any]], text: str, id: str | None, title: str | None
) -> Iterator[Document]:
    """The documents of `dataset`; whether it has the columns is checked at once where it knows them."""
    if not isinstance(dataset, Iterable) or isinstance(dataset, str | Mapping):
        raise InputError(
            f"a corpus cannot be made of {dataset!r}, a {type(dataset).__name__}; pass a Dataset (one split of a "
            "DatasetDict), an IterableDataset or a list of rows"
        )
    names = getattr(dataset, "column_names", None)
    for column, role in ((text, "text of a document"), (id, "id of a document"), (title, "title of a document")):
        if column is not None and names is not None:
            columns.require(column, names, role)
    return _rows(dataset, text, id, title)


def document_text(title: str | None, text: str | None) -> str:
    """Title, newline, text; the one alone where the other is missing or empty."""
    if title and (text is None or not text.strip()):
        return title
    return f"{title}\n{text}" if title else text or ""


def _rows(dataset: Iterable[Mapping[str, Any]], text: str, id: str | None, title: str | None) -> Iterator[Document]:
    """(id, text) of every row, checked."""
    for position, row in enumerate(dataset):
        name = _id_of(row, id, position)
        value = _field(row, text, "text of a document")
        heading = _field(row, title, "title of a document") if title is not None else None
        for what, content in (("text", value), ("title", heading)):
            if content is None and (what == "title" or heading):
                continue
            if not isinstance(content, str):
                raise DocumentError(
                    f"document {name!r} (row {position}): its {what} is {content!r}, a {type(content).__name__}; every "
                    "document needs one text: remove the row or give it a text"
                )
        yield name, document_text(heading, value)


def _field(row: Mapping[str, Any], column: str, role: str) -> Any:
    if column not in row:
        columns.require(column, row, role)
    return row[column]


def _id_of(row: Mapping[str, Any], id: str | None, position: int) -> str:
    if id is None:
        return str(position)
    value = _field(row, id, "id of a document")
    if value is None or (isinstance(value, str) and not value):
        raise DocumentError(
            f"row {position} of the corpus has no id (column {id!r} holds {value!r}); give every row one, or leave id= "
            "out to number the documents"
        )
    if not isinstance(value, str | int | np.integer) or isinstance(value, bool):
        raise DocumentError(
            f"row {position} of the corpus: its id (column {id!r}) is {value!r}, a {type(value).__name__}; an id is a "
            "text or a whole number: turn the column into texts"
        )
    return str(value)


def refuse_surrogates(ids: list[str], texts: list[str]) -> None:
    """Raise DocumentError where an id or a text cannot be written as UTF-8."""
    for values, what in ((ids, "id"), (texts, "text")):
        wrong = not_unicode(values)
        if wrong is not None:
            raise DocumentError(
                f"document {ids[wrong]!r}: its {what} {values[wrong][:80]!r} is no valid Unicode (a lone surrogate): "
                "remove the row, or clean it with text.encode('utf-8', 'replace').decode()"
            )


def batched(documents: Iterable[Document], size: int) -> Iterator[list[Document]]:
    """Lists of `size` documents, the last one shorter."""
    batch: list[Document] = []
    for document in documents:
        batch.append(document)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
