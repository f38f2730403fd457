"""From the texts of pairs to rows of the corpus, anchor by anchor: positives, given negatives, and their conflicts."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hfneg.base.arrays import Ints
from hfneg.base.hashing import first_occurrences, hash_texts
from hfneg.base.lists import Lists
from hfneg.data.corpus import Corpus
from hfneg.data.files.beir import Missing
from hfneg.data.layouts.tables import id_like
from hfneg.data.resolving import PositivesAre, Resolved, explain, look_up
from hfneg.errors import InputError, PositiveError

BATCH = 2_000
FEW = 0.1
"""The share of positives that may be missing in a corpus that was given, unless it is said what becomes of them."""
MOST_PAIRS = 100_000_000
"""Known positives of all anchors together, where they are closed transitively."""
BOTH_SIDES = 0.05
"""From this share of anchors that are positives of others on, it is said that pairs might hold both ways."""

log = logging.getLogger(__name__)


def distinct(*values: pa.LargeStringArray) -> Iterator[str]:
    """Each distinct string once, in order of first appearance."""
    seen = first_occurrences(np.concatenate([hash_texts(chunk) for chunk in _lists(values)]))
    start = 0
    for chunk in _lists(values):
        yield from (text for i, text in enumerate(chunk, start) if seen[i] == i)
        start += len(chunk)


def _lists(values: Sequence[pa.LargeStringArray]) -> Iterator[list[str]]:
    for some in values:
        for start in range(0, len(some), BATCH):
            yield some.slice(start, BATCH).to_pylist()


def refuse_numbers(positive: str) -> None:
    """Positives that were given as numbers can be ids only."""
    raise PositiveError(
        f"column {positive!r} holds numbers: they are no texts, and the corpus knows none of them as an id; name the "
        "column of the texts, or give a corpus whose ids these are"
    )


def warn_of_ids(values: pa.LargeStringArray, column: str) -> None:
    """A log line where positives that are to be the corpus look like ids."""
    some = values.slice(0, BATCH)
    if int(id_like(some).sum()) * 2 > len(some):
        log.warning(
            "column %r holds what looks like ids (%r) and there is no corpus, so these words are the documents; where "
            "they are ids give the corpus that has them",
            *(column, some[0].as_py()),
        )


def resolve(
    values: pa.LargeStringArray,
    corpus: Corpus,
    column: str,
    kind: PositivesAre,
    missing: Missing | None,
    *,
    few: bool,
    given: bool = False,
) -> tuple[Resolved, list[str]]:
    """(the document of every value, the texts that are to be added to the corpus).

    Args:
        missing: what becomes of values that the corpus does not have. None: texts are added, but of positives (`few`)
            no more than a tenth.
    """
    found = look_up(values, corpus, kind)
    unknown = found.unknown
    if not len(unknown):
        return found, []
    if missing == "skip":
        log.warning(
            "%d of %d values of column %r are not in the corpus and are left out", *(len(unknown), len(values), column)
        )
        found.how["left out"] = len(unknown)
        return found, []
    what = "given negatives" if given else "positives"
    many = missing is None and few and len(unknown) > FEW * len(values)
    if kind == "id" or missing == "refuse" or many:
        raise PositiveError(f"{explain(values, found, corpus, column, kind, what)}; {_way_out(kind, many)}")
    texts = list(dict.fromkeys(values.take(pa.array(unknown)).to_pylist()))
    log.warning("%d %s were not in the corpus and are added to it (for example %r)", len(texts), what, texts[0][:60])
    found.how["added"] = len(unknown)
    return found, texts


def find_added(found: Resolved, values: pa.LargeStringArray, corpus: Corpus) -> None:
    """The documents of the values that were added."""
    if "added" in found.how:
        unknown = found.unknown
        found.rows[unknown] = corpus.rows_of_texts(values.take(pa.array(unknown)).to_pylist())


def _way_out(kind: PositivesAre, many: bool) -> str:
    if kind == "id":
        return (
            "check that the corpus has these ids: name the column that holds them, --corpus-id COLUMN "
            "(Corpus.from_dataset(..., id=...)), or leave such positives out with missing='skip'"
        )
    said = "that is more than a tenth of them, so they may mean something else: " if many else ""
    return (
        f"{said}where they are ids name the corpus' column of ids, --corpus-id COLUMN (Corpus.from_dataset(..., "
        "id=...)), and say positives_are='id' (--positives-are id); where they are documents that the corpus lacks, "
        "missing='add' (--missing add) adds them to it on purpose, missing='skip' leaves them out"
    )


def group(number: Ints, lengths: Ints, rows: Ints, n_anchors: int, n_documents: int) -> tuple[Ints, Ints]:
    """CSR of each anchor's distinct positives, ascending."""
    key = np.unique(np.repeat(number, lengths) * n_documents + rows)
    owner, row = np.divmod(key, n_documents)
    indptr = np.searchsorted(owner, np.arange(n_anchors + 1)).astype(np.int64)
    return indptr, row


def in_order(number: Ints, lengths: Ints, rows: Ints, n_anchors: int, n_documents: int) -> tuple[Ints, Ints]:
    """CSR of each anchor's distinct given negatives, in the order of first appearance; -1 is none."""
    owners = np.repeat(number, lengths)
    owners, rows = owners[rows >= 0], rows[rows >= 0]
    _, first = np.unique(owners * n_documents + rows, return_index=True)
    first = np.sort(first)
    order = first[np.argsort(owners[first], kind="stable")]
    return np.searchsorted(owners[order], np.arange(n_anchors + 1)).astype(np.int64), rows[order]


def refuse_conflicts(positives: Lists, negatives: Lists, corpus: Corpus, texts: pa.Array) -> None:
    """Raise InputError where a given negative of an anchor is one of its positives, by its normal form."""
    hashes = np.asarray(corpus.normal_hashes)
    known, place = np.unique(np.concatenate([hashes[positives.flat], hashes[negatives.flat]]), return_inverse=True)
    p = len(positives.flat)
    keys = np.concatenate([positives.owners, negatives.owners]) * len(known) + place.reshape(-1)
    wrong = np.flatnonzero(np.isin(keys[p:], keys[:p]))
    if len(wrong):
        i = int(wrong[0])
        anchor, text = texts[int(negatives.owners[i])].as_py(), corpus.texts([negatives.flat[i]])[0].as_py()
        raise InputError(
            f"{len(wrong):,} given negatives are positives of the same anchor; the first: {text[:80]!r} of the anchor "
            f"{anchor[:80]!r}. Correct the rows (or judgments) that contradict each other, or leave given negatives "
            "out with given='ignore' (--given ignore)"
        )


def closed(positives: Lists, anchors: npt.NDArray[np.uint64], corpus: Corpus) -> Lists:
    """Positives where pairs hold both ways: all documents that an anchor hangs together with, but its own text.

    Args:
        positives: rows of each anchor.
        anchors: uint64 [n], hashes of their normal forms, as `Corpus.normal_hashes`.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    hashes = np.asarray(corpus.normal_hashes)
    there = np.flatnonzero(np.isin(hashes, np.concatenate([anchors, hashes[np.unique(positives.flat)]])))
    names, node = np.unique(np.concatenate([anchors, hashes[there]]), return_inverse=True)
    n = len(anchors)
    own, documents = node[:n], node[n:]
    targets = documents[np.searchsorted(there, positives.flat)]
    edges = coo_matrix((np.ones(len(targets), dtype=np.int8), (own[positives.owners], targets)), [len(names)] * 2)
    part = connected_components(edges, directed=False)[1].astype(np.int64)
    order = np.lexsort((there, part[documents]))
    members, parts = there[order], part[documents][order]
    start, end = np.searchsorted(parts, part[own]), np.searchsorted(parts, part[own], "right")
    if (total := int((end - start).sum())) > MOST_PAIRS:
        largest = int((end - start).max())
        raise InputError(
            f"pairs that hold both ways would make {total:,} known positives (the largest group has {largest:,} "
            f"texts), more than {MOST_PAIRS:,}: split up such groups, or take a sample of the rows"
        )
    found = Lists.gather(members, start, end)
    kept = hashes[found.flat] != anchors[found.owners]
    owners = np.concatenate([found.owners[kept], positives.owners])
    keys = np.unique(owners * len(corpus) + np.concatenate([found.flat[kept], positives.flat]))
    owner, row = np.divmod(keys, len(corpus))
    return Lists(np.searchsorted(owner, np.arange(n + 1)).astype(np.int64), row)


def hint_at_both_sides(positives: Lists, anchors: npt.NDArray[np.uint64], corpus: Corpus) -> None:
    """A log line where many anchors are positives of others that are not theirs."""
    hashes = np.asarray(corpus.normal_hashes)[positives.flat]
    order = np.argsort(anchors, kind="stable")
    at = np.minimum(np.searchsorted(anchors[order], hashes), len(anchors) - 1)
    is_anchor = (anchors[order][at] == hashes) & (hashes != anchors[positives.owners])
    if not is_anchor.any():
        return
    other, one = order[at[is_anchor]], positives.owners[is_anchor]
    both = len(np.unique(other[~np.isin(other * len(anchors) + one, one * len(anchors) + other)]))
    if both > 1 and both >= BOTH_SIDES * len(anchors):
        log.warning(
            "%d of %d anchors are positives of anchors that are not theirs: where a pair holds both ways (duplicates, "
            "paraphrases), say symmetric=True (--symmetric), else an anchor may get what it is a positive of",
            *(both, len(anchors)),
        )
