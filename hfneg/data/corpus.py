"""The corpus: unique documents, their ids, a digest, all in mapped files.

A document's text is title + newline + text wherever hfneg reads it: in the index, the encoder, the
teacher and the output. Documents are numbered by **row**, 0 .. len-1, in the order in which their texts
first appeared; everything inside hfneg speaks of rows and turns them into ids and texts at the end.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hfneg.base import html, store
from hfneg.base.arrays import Ints
from hfneg.base.files import disk, json_lines
from hfneg.base.files.strings import StringsWriter, open_strings
from hfneg.base.hashing import Hashes, HashIndex, first_occurrences, hash_normal_forms, hash_texts
from hfneg.data.documents import Document, batched, document_text as document_text, read_documents, refuse_surrogates
from hfneg.data.origins import source_of
from hfneg.errors import DocumentError, EmptyInputError, InputError

FORMAT = 3  # raise it when the files' layout or meaning changes
BATCH = 2_000


class Corpus:
    """Unique documents on disk; make one with :meth:`from_dataset`, :meth:`from_texts` or :meth:`from_beir`.

    >>> corpus = Corpus.from_texts(["Faults slip.", "Waves travel."])
    >>> len(corpus), corpus.ids([1]), corpus.texts([0]).to_pylist()
    (2, ['1'], ['Faults slip.'])

    Holds at most mapped files: RAM does not grow with the documents. ``digest`` names the content (ids
    and texts in order), so an equal corpus from another place is the same corpus.
    """

    source: Mapping[str, str] | None = None
    """The dataset on the Hub that this object was made from, where known; not part of what it is."""

    unread: tuple[str, ...] = ()
    """Columns that were left unread where documents were numbered for want of a column of ids, where known."""

    def __init__(self, digest: str) -> None:
        if not isinstance(digest, str):
            raise InputError(
                f"Corpus(...) opens what the store holds by its digest, and was given a {type(digest).__name__}; "
                "Corpus.from_texts(texts), Corpus.from_dataset(dataset, text=...) or Corpus.from_beir(folder) makes one"
            )
        self.digest = digest

    def __repr__(self) -> str:
        return f"Corpus({len(self)} documents, digest={self.digest[:12]})"

    def _repr_html_(self) -> str:
        first = self.texts(np.arange(min(len(self), 3))).to_pylist()
        return html.facts("Corpus", {"documents": len(self), "digest": self.digest, "the first": first})

    def __getstate__(self) -> dict[str, str]:
        return {"digest": self.digest}

    # How it is made.

    @classmethod
    def from_dataset(
        cls,
        dataset: Iterable[Mapping[str, Any]],
        *,
        text: str = "text",
        id: str | None = None,
        title: str | None = None,
    ) -> Corpus:
        """From rows with a text column and, where given, an id and a title column.

        `dataset` is a `Dataset`, an `IterableDataset` or any iterable of mappings. Without `id` a
        document's id is its position. Ids are turned into strings; of identical texts the first id is
        canonical and all their ids resolve to it.

        Raises ColumnError (no such column), DocumentError (None, a text that is no text, one id for two
        texts), EmptyInputError.
        """
        corpus = cls._build(read_documents(dataset, text, id, title))
        source = source_of(dataset)
        if source is not None:
            read = {"text": text, "id_column": id, "title": title}
            corpus.source = {**source, **{role: column for role, column in read.items() if column is not None}}
        if id is None:
            there = getattr(dataset, "column_names", None) or ()
            corpus.unread = tuple(column for column in there if column not in (text, title))
        return corpus

    @classmethod
    def from_texts(cls, texts: Iterable[str]) -> Corpus:
        """From texts; the id of a text is its position, as a string."""
        if isinstance(texts, str):
            raise InputError(f"from_texts takes a list of texts; one text was given, {texts[:80]!r}")
        return cls.from_dataset({"text": text} for text in texts)

    @classmethod
    def from_beir(cls, folder: str | Path) -> Corpus:
        """From ``corpus.jsonl`` of a BEIR folder (``_id``, ``text`` and, where there is one, ``title``)."""
        path = Path(folder) / "corpus.jsonl"
        if not path.is_file():
            raise EmptyInputError(f"{folder} is no BEIR folder: it has no corpus.jsonl")
        rows = ({"title": None, **row} for row in json_lines.read(path))
        return cls.from_dataset(rows, id="_id", title="title")

    def with_texts(self, texts: Sequence[str]) -> Corpus:
        """This corpus with further documents behind it; their ids are ``added-N``. Rows stay as they are."""
        taken = self.rows_of_ids([f"added-{i}" for i in range(len(texts))])
        if (taken >= 0).any():
            raise DocumentError(
                "the corpus already has ids of the form 'added-N', which hfneg gives to added positives"
            )
        added = ((f"added-{i}", text) for i, text in enumerate(texts))
        return self._build(_chain_documents(self, added), self._id_index)

    @classmethod
    def _build(cls, documents: Iterable[Document], known_ids: HashIndex | None = None) -> Corpus:
        """Write all documents to scratch, drop repeated texts, and give the result its name.

        `known_ids` are ids of the first documents' rows; those that no document bears become aliases.
        """
        with store.scratch_folder() as scratch:
            id_hashes, text_hashes = _write_documents(scratch, documents)
            if known_ids is not None:
                id_hashes, text_hashes = _with_aliases(id_hashes, text_hashes, known_ids)
            first = first_occurrences(text_hashes)
            _refuse_ambiguous_ids(scratch, id_hashes, first)
            kept = np.flatnonzero(first == np.arange(len(first)))
            digest = store.digest_of(FORMAT, id_hashes, text_hashes)
            row_of = np.searchsorted(kept, first)

            def fill(folder: Path) -> None:
                _copy_kept(scratch, folder, kept)
                HashIndex.write(folder, "ids", id_hashes, row_of)
                HashIndex.write(folder, "texts", text_hashes[kept], np.arange(len(kept)))
                disk.save_array(folder / "hashes.npy", text_hashes[kept])
                store.write_json(folder / "corpus.json", {"documents": len(kept), "given": len(first)})

            store.build("corpus", digest, fill)
        return cls(digest)

    # What it holds.

    @cached_property
    def _folder(self) -> Path:
        return store.require("corpus", self.digest)

    @cached_property
    def _facts(self) -> dict[str, int]:
        facts: dict[str, int] = json.loads((self._folder / "corpus.json").read_text())
        return facts

    @cached_property
    def _texts(self) -> pa.LargeStringArray:
        return open_strings(self._folder, "texts")

    @cached_property
    def _ids(self) -> pa.LargeStringArray:
        return open_strings(self._folder, "ids")

    @cached_property
    def _id_index(self) -> HashIndex:
        return HashIndex.open(self._folder, "ids")

    @cached_property
    def _text_index(self) -> HashIndex:
        return HashIndex.open(self._folder, "texts")

    @cached_property
    def text_hashes(self) -> Hashes:
        """128-bit hashes [len] of the texts, mapped: a text's identity without reading it."""
        hashes: Hashes = np.load(self._folder / "hashes.npy", mmap_mode="r")
        return hashes

    @cached_property
    def normal_hashes(self) -> npt.NDArray[np.uint64]:
        """uint64 [len]: equal where two documents differ in case, white space or Unicode form only."""
        hashes: npt.NDArray[np.uint64] = np.load(self._folder / "normal.npy", mmap_mode="r")
        return hashes

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """int64 [len + 1]: byte offsets of the texts, so that lengths are known without reading a text."""
        return np.frombuffer(self._texts.buffers()[1], dtype=np.int64)

    def sizes(self, rows: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """int64, shape of `rows`: the bytes of these documents' texts, without reading a text."""
        at = np.asarray(rows, dtype=np.int64)
        return self.lengths[at + 1] - self.lengths[at]

    @cached_property
    def empty_rows(self) -> Ints:
        """int64: the documents that are empty or only white space, ascending; no retriever's candidates."""
        return np.flatnonzero(self.normal_hashes == hash_normal_forms([""])[0])

    @property
    def empty_documents(self) -> int:
        """How many of the given documents are in `empty_rows`."""
        if not len(self.empty_rows):
            return 0
        return int(np.isin(self._id_index.entries()[1], self.empty_rows).sum())

    def __len__(self) -> int:
        return self._facts["documents"]

    @property
    def repeated(self) -> int:
        """How many given documents repeated the text of an earlier one."""
        return self._facts["given"] - self._facts["documents"]

    def texts(self, rows: Sequence[int] | Ints) -> pa.LargeStringArray:
        """The texts of `rows`, as Arrow; ``.to_pylist()`` where Python strings are needed."""
        return self._texts.take(pa.array(np.asarray(rows, dtype=np.int64)))

    def text_slice(self, start: int, stop: int) -> pa.LargeStringArray:
        """The texts of rows `start` .. `stop` - 1, without a copy."""
        return self._texts.slice(start, stop - start)

    def ids(self, rows: Sequence[int] | Ints) -> list[str]:
        """The canonical ids of `rows`."""
        ids: list[str] = self.ids_arrow(rows).to_pylist()
        return ids

    def ids_arrow(self, rows: Sequence[int] | Ints) -> pa.LargeStringArray:
        """The canonical ids of `rows`, as Arrow."""
        return self._ids.take(pa.array(np.asarray(rows, dtype=np.int64)))

    def rows_of_ids(self, ids: Sequence[str]) -> Ints:
        """int64 [len(ids)]: the row of each id (aliases of repeated texts too), -1 where there is none."""
        return self._id_index.rows_of(ids)

    def texts_of_ids(self, ids: Any) -> Any:
        """The text of an id, or the texts of a list of them; raises InputError for one that it does not have."""
        several = ids if isinstance(ids, list) else [ids]
        if (rows := self.rows_of_ids([str(id) for id in several])).min(initial=0) < 0:
            raise InputError(f"the corpus has no document with the id {several[int(rows.argmin())]!r}")
        return self.texts(rows).to_pylist() if several is ids else self.texts(rows)[0].as_py()

    def rows_of_texts(self, texts: Sequence[str]) -> Ints:
        """int64 [len(texts)]: the row with exactly this text, -1 where there is none."""
        return self._text_index.rows_of(texts)


def _chain_documents(corpus: Corpus, added: Iterable[Document]) -> Iterator[Document]:
    for start in range(0, len(corpus), BATCH):
        stop = min(start + BATCH, len(corpus))
        rows = np.arange(start, stop)
        yield from zip(corpus.ids(rows), corpus.text_slice(start, stop).to_pylist(), strict=True)
    yield from added


def _write_documents(scratch: Path, documents: Iterable[Document]) -> tuple[Hashes, Hashes]:
    """All ids and texts as given, into `scratch`; returns their hashes."""
    id_hashes, text_hashes, normal = [], [], []
    with StringsWriter(scratch, "ids") as ids, StringsWriter(scratch, "texts") as texts:
        for batch in batched(documents, BATCH):
            names, contents = [name for name, _ in batch], [content for _, content in batch]
            refuse_surrogates(names, contents)
            ids.append(names)
            texts.append(contents)
            id_hashes.append(hash_texts(names))
            text_hashes.append(hash_texts(contents))
            normal.append(hash_normal_forms(contents))
    if not id_hashes:
        raise EmptyInputError("the corpus is empty: it needs at least one document")
    disk.save_array(scratch / "normal.npy", np.concatenate(normal))
    return np.concatenate(id_hashes), np.concatenate(text_hashes)


def _with_aliases(id_hashes: Hashes, text_hashes: Hashes, known: HashIndex) -> tuple[Hashes, Hashes]:
    """The hashes of ids and texts, and behind them those ids of the index that are not among them."""
    hashes, rows = known.entries()
    ids, texts = np.concatenate([id_hashes, hashes]), np.concatenate([text_hashes, text_hashes[rows]])
    new = first_occurrences(ids) == np.arange(len(ids))
    new[: len(id_hashes)] = True
    return ids[new], texts[new]


def _refuse_ambiguous_ids(scratch: Path, id_hashes: Hashes, first_text: Ints) -> None:
    """One id may stand before equal texts, never before two different ones."""
    first_id = first_occurrences(id_hashes)
    wrong = np.flatnonzero(first_text[first_id] != first_text)
    if len(wrong):
        ids = open_strings(scratch, "ids")
        examples = ", ".join(sorted({repr(ids[int(row)].as_py()) for row in wrong[:5]}))
        raise DocumentError(
            f"{len(wrong)} documents repeat the id of another document with another text ({examples}); ids name "
            "documents: make them unique, or leave id= out to number the documents"
        )


def _copy_kept(scratch: Path, folder: Path, kept: Ints) -> None:
    """The kept rows of the scratch files, in blocks, so that RAM holds one block only."""
    disk.save_array(folder / "normal.npy", np.load(scratch / "normal.npy", mmap_mode="r")[kept])
    for name in ("ids", "texts"):
        strings = open_strings(scratch, name)
        if len(kept) == len(strings):
            _move(scratch, folder, name)
            continue
        with StringsWriter(folder, name) as writer:
            for start in range(0, len(kept), 50_000):
                writer.append_arrow(strings.take(pa.array(kept[start : start + 50_000])))


def _move(scratch: Path, folder: Path, name: str) -> None:
    for path in scratch.glob(f"{name}.*"):
        shutil.move(path, folder / path.name)  # the corpora may lie on another disk than the scratch folder
