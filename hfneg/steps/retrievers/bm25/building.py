"""Builds the postings of BM25 in mapped files.

RAM: a block of texts per thread, some 60 bytes per term of the vocabulary and 8 per document. Texts are
read once; their term numbers go through a scratch file (4 bytes a term occurrence) that is deleted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hfneg.base import store
from hfneg.base.arrays import Floats
from hfneg.base.files import disk
from hfneg.base.hashing import HASH, Hashes, HashIndex, hash_texts
from hfneg.data.corpus import Corpus
from hfneg.steps.retrievers.bm25 import counting
from hfneg.steps.retrievers.bm25.methods import SHIFTED
from hfneg.steps.retrievers.bm25.peer import bm25s
from hfneg.steps.retrievers.bm25.tokens import Codes, Offsets, Terms, Tokenizer

if TYPE_CHECKING:
    from hfneg.steps.retrievers.bm25 import BM25

TEXT_BLOCK = 1 << 24  # bytes of text tokenised at once
POSTING_BLOCK = 1 << 21  # postings weighed at once


def build(folder: Path, corpus: Corpus, settings: BM25, tokenizer: Tokenizer, threads: int) -> None:
    """Fill `folder` with the index of `corpus`: postings, vocabulary, and what was counted."""
    vocabulary = Vocabulary()
    offsets = _write_tokens(folder / "tokens.scratch", corpus, tokenizer, vocabulary, threads)
    tokens = _map_tokens(folder / "tokens.scratch", int(offsets[-1]))
    indptr = _write_postings(folder, tokens, offsets, len(vocabulary))
    del tokens
    (folder / "tokens.scratch").unlink()
    _weigh(folder, indptr, np.diff(offsets), settings)
    HashIndex.write(folder, "terms", vocabulary.hashes(), np.arange(len(vocabulary)))
    facts = {"documents": len(corpus), "terms": len(vocabulary), "tokenizer": tokenizer.identity}
    store.write_json(folder / "index.json", facts)


class Vocabulary:
    """128-bit hash of a term -> its number, in order of first appearance."""

    def __init__(self) -> None:
        self._size = 0
        self._table = _empty_table(1 << 12)

    def __len__(self) -> int:
        return self._size

    def add(self, terms: list[str]) -> Codes:
        """int32 [len(terms)]: the number of each term; new terms get the next ones."""
        while (self._size + len(terms)) * 4 > len(self._table[2]) * 3:
            self._grow()
        return self._insert(hash_texts(terms))

    def hashes(self) -> Hashes:
        """The hashes by number."""
        high, low, ids = self._table
        used = np.flatnonzero(ids >= 0)
        result = np.empty(self._size, dtype=HASH)
        result["high"][ids[used]], result["low"][ids[used]] = high[used], low[used]
        return result

    def _grow(self) -> None:
        hashes = self.hashes()
        self._size, self._table = 0, _empty_table(2 * len(self._table[2]))
        self._insert(hashes)

    def _insert(self, hashes: Hashes) -> Codes:
        numbers = np.empty(len(hashes), dtype=np.int32)
        high, low = (np.ascontiguousarray(hashes[half], dtype=np.uint64) for half in ("high", "low"))
        self._size = int(counting.insert_terms(*self._table, self._size, high, low, numbers))
        return numbers


def _empty_table(slots: int) -> tuple[Any, Any, Codes]:
    return np.empty(slots, np.uint64), np.empty(slots, np.uint64), np.full(slots, -1, np.int32)


def _write_tokens(path: Path, corpus: Corpus, tokenizer: Tokenizer, vocabulary: Vocabulary, threads: int) -> Offsets:
    """Write the term numbers of all documents; returns int64 [documents + 1], where each one's begin."""
    from datasets.utils import tqdm

    offsets = np.zeros(len(corpus) + 1, dtype=np.int64)
    done = 0
    with path.open("wb") as file, tqdm(total=len(corpus), desc="BM25 index", unit=" documents") as bar:
        for terms in _tokenized(corpus, tokenizer, threads):
            file.write(vocabulary.add(terms.unique)[terms.codes].tobytes())
            documents = len(terms.offsets) - 1
            offsets[done + 1 : done + documents + 1] = offsets[done] + terms.offsets[1:]
            done += documents
            bar.update(documents)
    return offsets


def _tokenized(corpus: Corpus, tokenizer: Tokenizer, threads: int) -> Iterator[Terms]:
    """The terms of one block of documents after the other; a few blocks ahead in other threads."""
    if threads == 1:
        for start, stop in _blocks(corpus.lengths):
            yield tokenizer(corpus.text_slice(start, stop))
        return
    with ThreadPoolExecutor(threads) as pool:
        ahead: deque[Future[Terms]] = deque()
        for start, stop in _blocks(corpus.lengths):
            ahead.append(pool.submit(tokenizer, corpus.text_slice(start, stop)))
            if len(ahead) > threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _blocks(lengths: Offsets) -> Iterator[tuple[int, int]]:
    """Ranges of documents with TEXT_BLOCK bytes of text together, or one document."""
    start, documents = 0, len(lengths) - 1
    while start < documents:
        within = int(np.searchsorted(lengths, lengths[start] + TEXT_BLOCK, side="right")) - 1
        stop = min(max(within, start + 1), documents)
        yield start, stop
        start = stop


def _map_tokens(path: Path, count: int) -> npt.NDArray[np.uint32]:
    if count == 0:
        return np.empty(0, dtype=np.uint32)
    return np.asarray(np.memmap(path, dtype=np.uint32, mode="r", shape=(count,)))


def _write_postings(folder: Path, tokens: npt.NDArray[np.uint32], offsets: Offsets, terms: int) -> Offsets:
    """Rows and counts per term, in CSC files of at least one element (an empty file cannot be mapped)."""
    frequencies = np.zeros(terms, dtype=np.int64)
    counting.count_documents(tokens, offsets, np.full(terms, -1, dtype=np.int32), frequencies)
    indptr = np.zeros(terms + 1, dtype=np.int64)
    np.cumsum(frequencies, out=indptr[1:])
    size = max(int(indptr[-1]), 1)
    indices, data = (
        disk.create_mapped(folder / "indices.npy", np.int32, size),
        disk.create_mapped(folder / "data.npy", np.float32, size),
    )
    last = np.full(terms, -1, dtype=np.int32)
    counting.fill_postings(tokens, offsets, last, indptr[:-1].copy(), np.asarray(indices), np.asarray(data))
    disk.save_array(folder / "indptr.npy", indptr)
    return indptr


def _weigh(folder: Path, indptr: Offsets, lengths: npt.NDArray[np.int64], settings: BM25) -> None:
    """Replace the counts in data.npy by BM25 weights, and write nonoccurrence.npy.

    By bm25s's own functions, in the types it uses (counts float32, the rest float64, the result float32),
    so that every weight is bit-equal to bm25s.
    """
    factor = bm25s("scoring")._select_tfc_scorer(settings.method)
    shape = {"l_avg": lengths.mean(), "k1": settings.k1, "b": settings.b, "delta": settings.delta}
    idf, missing = _term_weights(np.diff(indptr), len(lengths), settings, factor, shape)
    disk.save_array(folder / "nonoccurrence.npy", missing)
    counts, indices = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("data", "indices"))
    with (folder / "data.npy").open("r+b") as file:  # not through the map: a full disk is an error here, there a signal
        file.seek(counts.offset)
        for start in range(0, int(indptr[-1]), POSTING_BLOCK):
            stop = min(start + POSTING_BLOCK, int(indptr[-1]))
            term = _term_of(indptr, start, stop)
            weights = idf[term] * factor(
                tf_array=np.asarray(counts[start:stop]), l_d=lengths[indices[start:stop]], **shape
            )
            weights = weights - missing[term] if settings.method in SHIFTED else weights
            file.write(weights.astype(np.float32).tobytes())


def _term_weights(
    frequencies: npt.NDArray[np.int64], documents: int, settings: BM25, factor: Any, shape: dict[str, Any]
) -> tuple[Floats, Floats]:
    """float32 [terms] twice: idf, and the weight of a term that a document lacks (0 but for SHIFTED)."""
    weigh = bm25s("scoring")._select_idf_scorer(settings.method)
    distinct, position = np.unique(frequencies, return_inverse=True)
    idf = np.array([weigh(int(df), N=documents) for df in distinct], dtype=np.float64)
    missing = np.zeros(len(idf))
    if settings.method in SHIFTED and len(idf):
        missing = idf * factor(tf_array=0, l_d=shape["l_avg"], **shape)
    return idf.astype(np.float32)[position], missing.astype(np.float32)[position]


def _term_of(indptr: Offsets, start: int, stop: int) -> npt.NDArray[np.int64]:
    """int64 [stop - start]: the term of each posting."""
    first = int(np.searchsorted(indptr, start, side="right")) - 1
    behind = int(np.searchsorted(indptr, stop, side="left"))
    bounds = np.clip(indptr[first : behind + 1], start, stop)
    return np.repeat(np.arange(first, behind), np.diff(bounds))
