"""Which document of the corpus a positive or a given negative is: by id, by whole text, without title, by normal form.

A text is looked up as it is first. What is left is compared with the documents without their first line (a title is
one, see `hfneg.data.documents.document_text`), then in its normal form (NFKC, case folded, white space collapsed), then
in its normal form without the first line. The first of several documents is the one meant; all that equal it but for
their title are known, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hfneg.base.arrays import Ints
from hfneg.base.hashing import hash_normal_forms, normal_form
from hfneg.data.corpus import Corpus
from hfneg.errors import PositiveError

BATCH = 2_000
BLOCK = 20_000
LOOKED_AT = 200_000
"""Documents that are looked at for the nearest one of a positive that is not there."""

WORDS = 12

PositivesAre = Literal["text", "id"]
ID, TEXT, UNTITLED, NORMAL, UNTITLED_NORMAL = "id", "text", "without title", "normal form", "normal form without title"
TEXT_TYPE = pa.large_string()
FIRST_LINE = r"^[^\n]*\n"
SPACE = r"[\s\x1c-\x1f]+"


@dataclass
class Resolved:
    """Where n values were found.

    rows: int64 [n], the document, -1 for none. how: how many values were found in which way. also: pairs of
    (position of the value, row of a further document that equals it but for its title). inexact: int64, ascending, the
    values that are no document's text or id as they are.
    """

    rows: Ints
    how: dict[str, int] = field(default_factory=dict)
    also: tuple[Ints, Ints] = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
    inexact: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @property
    def unknown(self) -> Ints:
        return np.flatnonzero(self.rows < 0)


def look_up(values: pa.LargeStringArray, corpus: Corpus, kind: PositivesAre) -> Resolved:
    """The document of each value."""
    exact = corpus.rows_of_ids if kind == "id" else corpus.rows_of_texts
    parts = [exact(chunk) for chunk in _lists(values)]
    found = Resolved(np.concatenate(parts) if parts else np.empty(0, dtype=np.int64))
    _count(found, ID if kind == "id" else TEXT, len(values) - len(found.unknown))
    if kind == "text" and len(found.unknown):
        _without_title(values, corpus, found)
    if kind == "text" and len(found.unknown):
        _by_normal_form(values, corpus, found)
    if kind == "text" and len(found.unknown):
        _by_normal_form_without_title(values, corpus, found)
    return found


def kind_of(values: pa.LargeStringArray, corpus: Corpus, column: str) -> PositivesAre:
    """Texts or ids: whichever of the two the corpus knows more of, among the first values."""
    some = values.slice(0, BATCH).to_pylist()
    texts, ids = int((corpus.rows_of_texts(some) >= 0).sum()), int((corpus.rows_of_ids(some) >= 0).sum())
    if ids and texts and ids == texts:
        raise PositiveError(
            f"column {column!r}: its values are texts as well as ids of the corpus; say which with "
            "positives_are='text' or positives_are='id'"
        )
    if ids > texts and corpus.unread:
        raise PositiveError(
            f"column {column!r}: its values ({_examples(some)}) are numbers of documents, counted from 0, because no "
            f"column of the corpus was taken for ids; its other columns are {', '.join(corpus.unread)}: say which of "
            "them holds the ids, --corpus-id COLUMN (Corpus.from_dataset(..., id=...)), or positives_are='id' where "
            "they are meant to be positions"
        )
    return "id" if ids > texts else "text"


def _count(found: Resolved, way: str, n: int) -> None:
    if n:
        found.how[way] = found.how.get(way, 0) + n


def _take(found: Resolved, positions: Ints, rows: Ints, way: str) -> None:
    """The first row for each position; the further ones are known, too. `positions` ascend, rows within them."""
    first = np.ones(len(positions), dtype=bool)
    first[1:] = positions[1:] != positions[:-1]
    found.rows[positions[first]] = rows[first]
    found.inexact = np.union1d(found.inexact, positions[first])
    found.also = (
        np.concatenate([found.also[0], positions[~first]]),
        np.concatenate([found.also[1], rows[~first]]),
    )
    _count(found, way, int(first.sum()))


def _matched(keys: pa.Array, wanted: pa.Array, positions: Ints, start: int) -> tuple[Ints, Ints]:
    """(position, row) of each document of a block whose key is wanted; `positions` of the distinct `wanted`."""
    place = pc.index_in(keys, value_set=wanted)
    at = np.flatnonzero(place.is_valid().to_numpy(zero_copy_only=False))
    return place.take(pa.array(at)).to_numpy(zero_copy_only=False).astype(np.int64), at + start


def _scanned(values: pa.Array, corpus: Corpus, found: Resolved, way: str, keys_of: object) -> None:
    """Documents by a key of theirs that is compared with `values` (of the unknown positions)."""
    unknown = found.unknown
    wanted = values.unique()
    places, rows = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for start in range(0, len(corpus), BLOCK):
        stop = min(start + BLOCK, len(corpus))
        keys = keys_of(corpus.text_slice(start, stop))  # type: ignore[operator]
        place, row = _matched(keys, wanted, unknown, start)
        places.append(place)
        rows.append(row)
    place, row = np.concatenate(places), np.concatenate(rows)
    if not len(place):
        return
    order = np.lexsort((row, place))
    place, row = place[order], row[order]
    own = pc.index_in(values, value_set=wanted).to_numpy(zero_copy_only=False).astype(np.int64)
    start, end = np.searchsorted(place, own), np.searchsorted(place, own, "right")
    lengths = end - start
    at = np.repeat(start - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths) + np.arange(lengths.sum())
    _take(found, np.repeat(unknown, lengths), row[at], way)


def _without_title(values: pa.LargeStringArray, corpus: Corpus, found: Resolved) -> None:
    unknown = values.take(pa.array(found.unknown))
    _scanned(unknown, corpus, found, UNTITLED, untitled)


def untitled(texts: pa.Array) -> pa.Array:
    """Each text without its first line; null where that is all, or what is left is blank."""
    has = pc.match_substring(texts, "\n")
    rest = pc.if_else(
        has, pc.replace_substring_regex(texts, FIRST_LINE, "", max_replacements=1), pa.scalar(None, TEXT_TYPE)
    )
    blank = pc.equal(pc.utf8_trim_whitespace(rest), pa.scalar("", TEXT_TYPE))
    return pc.if_else(blank, pa.scalar(None, TEXT_TYPE), rest)


def _by_normal_form(values: pa.LargeStringArray, corpus: Corpus, found: Resolved) -> None:
    """By the stored hashes of the documents' normal forms."""
    unknown = found.unknown
    wanted = hash_normal_forms(values.take(pa.array(unknown)).to_pylist())
    there = np.asarray(corpus.normal_hashes)
    asked = np.unique(wanted)
    rows = np.flatnonzero(np.isin(there, asked))
    rows = rows[np.argsort(there[rows], kind="stable")]
    start, end = np.searchsorted(there[rows], wanted), np.searchsorted(there[rows], wanted, "right")
    met = np.flatnonzero(end > start)
    _take(found, unknown[met], rows[start[met]], NORMAL)


def _by_normal_form_without_title(values: pa.LargeStringArray, corpus: Corpus, found: Resolved) -> None:
    unknown = values.take(pa.array(found.unknown))
    normal = pa.array([normal_form(text) for text in unknown.to_pylist()], TEXT_TYPE)
    _scanned(normal, corpus, found, UNTITLED_NORMAL, lambda texts: normal_forms(untitled(texts)))


def normal_forms(texts: pa.Array) -> pa.Array:
    """`normal_form` of each, ASCII by Arrow and the rest one by one; null stays."""
    plain = pc.utf8_lower(pc.utf8_trim(pc.replace_substring_regex(texts, SPACE, " "), " "))
    other = np.flatnonzero(pc.invert(pc.string_is_ascii(texts)).fill_null(False).to_numpy(zero_copy_only=False))
    if not len(other):
        return plain
    mask = np.zeros(len(texts), dtype=bool)
    mask[other] = True
    forms = [normal_form(text) for text in texts.take(pa.array(other)).to_pylist()]
    return pc.replace_with_mask(plain, pa.array(mask), pa.array(forms, TEXT_TYPE))


# What to say of those that are not there.


def explain(
    values: pa.LargeStringArray, found: Resolved, corpus: Corpus, column: str, kind: PositivesAre, what: str
) -> str:
    """How many are not there, two of them, and the nearest documents."""
    unknown = found.unknown
    examples = list(dict.fromkeys(values.take(pa.array(unknown[:50])).to_pylist()))[:2]
    shown = ", ".join(repr(_short(text)) for text in examples)
    near = list(dict.fromkeys(_nearest(text, corpus, kind) for text in examples))
    return (
        f"{len(unknown):,} of {len(values):,} {what} (column {column!r}, taken as {kind}s) are not in the corpus, for "
        f"example {shown} ({'; '.join(near)})"
    )


def _nearest(text: str, corpus: Corpus, kind: PositivesAre) -> str:
    """The document that has most of its words, rare ones first, among the first documents."""
    if kind == "id":
        return "ids of the corpus are such as " + ", ".join(map(repr, corpus.ids(np.arange(min(2, len(corpus))))))
    said = {word for word in normal_form(text).split() if len(word) > 2 or not word.isalpha()}
    words = sorted(said, key=lambda word: (word.isalpha(), -len(word), word))[:WORDS]
    looked_at = min(len(corpus), LOOKED_AT)
    has = np.zeros((len(words), looked_at), dtype=bool)
    for start in range(0, looked_at if words else 0, BLOCK):
        texts = pc.utf8_lower(corpus.text_slice(start, min(start + BLOCK, looked_at)))
        for i, word in enumerate(words):
            has[i, start : start + len(texts)] = pc.match_substring(texts, word).to_numpy(zero_copy_only=False)
    if not has.any():
        first = corpus.texts([0])[0].as_py()
        return f"no document has its words; the first document is {corpus.ids([0])[0]!r}: {_short(first)!r}"
    weights = np.log((looked_at + 1) / (has.sum(axis=1) + 1))
    at = int(np.argmax(weights @ has))
    return f"nearest is {corpus.ids([at])[0]!r}: {_short(corpus.texts([at])[0].as_py())!r}"


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."


def _examples(values: list[str]) -> str:
    return ", ".join(map(repr, values[:2]))


def _lists(values: pa.LargeStringArray) -> Iterator[list[str]]:
    for start in range(0, len(values), BATCH):
        yield values.slice(start, BATCH).to_pylist()
