"""From a table in any layout to flat arrays: anchors, positives, negatives, and what their scores say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hfneg.base.arrays import Ints, Mask
from hfneg.base.lists import Lists, offsets
from hfneg.data.layouts import Layout
from hfneg.data.layouts.guessing import is_list
from hfneg.errors import ColumnError

Floats = npt.NDArray[np.float64]
TEXT = pa.large_string()


@dataclass(frozen=True)
class TableBatch:
    """Some rows. A missing text is null.

    anchors: texts [rows]. positives, negatives: lists of texts. places: int64 [negatives], the position of each
    in the flat values of the column it comes from (where that is one column). main: int64 [rows], positives in
    the first column of positives. whole: bool [rows], every list beside the texts is as long as they are.
    """

    anchors: pa.Array
    positives: Lists
    negatives: Lists
    places: Ints
    main: Ints
    whole: Mask


def read(table: pa.Table, layout: Layout) -> TableBatch:
    """The texts of a table. Raises ColumnError for labels that are none."""
    anchors = column(table, layout.anchor).cast(TEXT)
    if layout.label is not None:
        return _by_label(table, layout, anchors)
    positives = _merged([texts_of(column(table, name)) for name in layout.positives], len(table))
    main = texts_of(column(table, layout.positives[0])).lengths
    negatives = _merged([texts_of(column(table, name)) for name in layout.negatives], len(table))
    whole = np.ones(len(table), dtype=bool)
    for name in layout.aligned:
        whole &= _lengths(column(table, name)) == negatives.lengths
    for ours, _ in layout.scores:
        found = _lengths(column(table, ours))
        whole &= (found == main) | (found == 0)  # empty where the retriever cannot score a positive
    if layout.target is not None:
        found = _lengths(column(table, layout.target))
        whole &= (found == negatives.lengths + 1) | (found == negatives.lengths)
    return TableBatch(anchors, positives, negatives, np.arange(len(negatives.flat)), main, whole)


def _by_label(table: pa.Table, layout: Layout, anchors: pa.Array) -> TableBatch:
    """Documents above label zero are positives, the others negatives; rows of unlike lengths have neither."""
    assert layout.documents is not None
    assert layout.label is not None
    documents = texts_of(column(table, layout.documents))
    labels, lengths = numbers_of(column(table, layout.label))
    whole = documents.lengths == lengths
    inside = np.repeat(whole, documents.lengths)
    value = np.full(len(inside), np.nan)
    value[inside] = labels[np.repeat(whole, lengths)]
    _check_labels(value[inside], layout.label)
    split = [np.flatnonzero(inside & mask) for mask in (value > 0, value == 0)]
    lists = []
    for chosen in split:
        counts = np.bincount(documents.owners[chosen], minlength=len(table))
        lists.append(Lists(offsets(counts), documents.flat.take(pa.array(chosen))))
    return TableBatch(anchors, lists[0], lists[1], split[1], lists[0].lengths, whole)


def _check_labels(values: Floats, name: str) -> None:
    wrong = values[~((values >= 0) & (values == np.floor(values)) & np.isfinite(values))]
    if len(wrong):
        raise ColumnError(
            f"column {name!r} holds {wrong[0]:g}, which is no label (0: not relevant; 1, 2 ...: relevant); scores do "
            "not say which documents are positives: add a column of labels, or remove this one and name the columns "
            "of texts (positive=..., negative=...)"
        )


def column(table: pa.Table, name: str) -> pa.Array:
    """A column in one piece."""
    whole = table[name].combine_chunks()
    if isinstance(whole, pa.ChunkedArray):  # pyarrow keeps an empty or overlong one in chunks
        whole = pa.concat_arrays(whole.chunks) if whole.num_chunks else pa.array([], whole.type)
    return whole


def texts_of(values: pa.Array) -> Lists:
    """One text a row, or a list of texts or of passages; a null list is empty, a null text stays."""
    if not is_list(values.type):
        return Lists(np.arange(len(values) + 1), values.cast(TEXT))
    flat = pc.list_flatten(values)
    if pa.types.is_struct(flat.type):
        flat = _passages(flat)
    return Lists(offsets(_lengths(values)), flat.cast(TEXT))


def _passages(passages: pa.Array) -> pa.Array:
    """As `hfneg.data.documents.document_text`: title, newline, text; one alone where the other is missing."""
    text, nothing = pc.struct_field(passages, "text").cast(TEXT), pa.scalar("", TEXT)
    if passages.type.get_field_index("title") < 0:
        return text
    title = pc.struct_field(passages, "title").cast(TEXT).fill_null("")
    both = pc.binary_join_element_wise(title, text, pa.scalar("\n", TEXT))
    blank = pc.equal(pc.utf8_trim_whitespace(text.fill_null("")), nothing)
    return pc.if_else(pc.equal(title, nothing), text, pc.if_else(blank, title, both))


def numbers_of(values: pa.Array) -> tuple[Floats, Ints]:
    """(flat numbers, NaN where null, how many each row has)."""
    flat = pc.list_flatten(values) if is_list(values.type) else values
    numbers: Floats = flat.cast(pa.float64()).fill_null(float("nan")).to_numpy(zero_copy_only=False)
    return numbers, _lengths(values)


def id_like(texts: pa.Array) -> Mask:
    """bool [n]: one short word of ASCII with a digit or a mark in it."""
    word = pc.match_substring_regex(texts, "^[!-~]{1,64}$")
    marked = pc.match_substring_regex(texts, "[0-9_:/#]")
    found: Mask = pc.and_(word, marked).fill_null(False).to_numpy(zero_copy_only=False)
    return found


def _lengths(values: pa.Array) -> Ints:
    if not is_list(values.type):
        return np.ones(len(values), dtype=np.int64)
    lengths: Ints = pc.list_value_length(values).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    return lengths


def _merged(parts: list[Lists], rows: int) -> Lists:
    """The lists of each row, one behind the other."""
    if not parts:  # a test set has no negatives
        return Lists(np.zeros(rows + 1, dtype=np.int64), pa.array([], TEXT))
    if len(parts) == 1:
        return parts[0]
    owners = np.concatenate([part.owners for part in parts])
    order = np.argsort(owners, kind="stable")
    flat = pa.concat_arrays([part.flat for part in parts]).take(pa.array(order))
    return Lists(offsets(np.bincount(owners, minlength=rows)), flat)


@dataclass(frozen=True)
class ScoreFacts:
    """What the scores beside the texts say.

    bad: bool [negatives], one of its scores is NaN or infinite. above: bool [negatives], it scores above the
    row's best positive (by the last kind of score there is, the teacher's). bad_positive: bool [rows].
    """

    bad: Mask
    above: Mask
    bad_positive: Mask


def read_scores(table: pa.Table, layout: Layout, batch: TableBatch) -> ScoreFacts:
    """Scores of rows whose lists are as long as their texts."""
    m, rows = len(batch.negatives.flat), len(batch.anchors)
    facts = ScoreFacts(np.zeros(m, dtype=bool), np.zeros(m, dtype=bool), np.zeros(rows, dtype=bool))
    if layout.label is not None:
        return facts
    for name in layout.aligned:
        if _is_scores(table[name].type):
            facts.bad[:] |= ~np.isfinite(_whole_values(column(table, name), batch))
    for ours, theirs in layout.scores:
        values, lengths = numbers_of(column(table, ours))
        owners = np.repeat(np.arange(rows), lengths)
        facts.bad_positive[owners[~np.isfinite(values)]] = True
        best = np.full(rows, -np.inf)
        np.fmax.at(best, owners, values)
        scored = np.isfinite(best)[batch.negatives.owners]
        with np.errstate(invalid="ignore"):
            facts.above[:] = scored & (_whole_values(column(table, theirs), batch) > best[batch.negatives.owners])
    if layout.target is not None:
        _read_target(column(table, layout.target), batch, facts)
    return facts


def _is_scores(type: pa.DataType) -> bool:
    return bool(is_list(type) and pa.types.is_floating(type.value_type))


def _whole_values(values: pa.Array, batch: TableBatch) -> Floats:
    """float64 [negatives]; 0 in rows whose lists are of unlike lengths."""
    numbers, lengths = numbers_of(values)
    inside = np.repeat(batch.whole, batch.negatives.lengths)
    found = np.zeros(len(inside))
    found[inside] = numbers[np.repeat(batch.whole, lengths)]
    return found


def _read_target(values: pa.Array, batch: TableBatch, facts: ScoreFacts) -> None:
    """A list of n + 1 scores (the positive's first) or of n differences."""
    numbers, lengths = numbers_of(values)
    bad = Lists(offsets(lengths), ~np.isfinite(numbers))
    for row in np.unique(bad.owners[bad.flat]) if bad.flat.any() else ():
        if batch.whole[row]:
            n = int(batch.negatives.lengths[row])
            start = batch.negatives.indptr[row]
            facts.bad[start : start + n] |= bad[row][lengths[row] - n :]
            facts.bad_positive[row] |= bool(bad[row][: lengths[row] - n].any())


def given(table: pa.Table, layout: Layout, batch: TableBatch) -> Mask:
    """bool [negatives]: the rows say that it was given as a negative; no row whose lists are of unlike lengths does."""
    found = np.zeros(len(batch.negatives.flat), dtype=bool)
    if layout.sources is not None:
        sources = texts_of(column(table, layout.sources))
        inside = np.repeat(batch.whole, batch.negatives.lengths)
        said = pc.equal(sources.flat, "given").fill_null(False).to_numpy(zero_copy_only=False)
        found[inside] = said[np.repeat(batch.whole, sources.lengths)]
    return found


def source_names(table: pa.Table, layout: Layout) -> dict[str, int]:
    """How many negatives each source gave, where the rows say it."""
    if layout.sources is None:
        return {}
    counts: Any = pc.value_counts(texts_of(column(table, layout.sources)).flat)
    return {item["values"]: item["counts"] for item in counts.to_pylist() if item["values"] is not None}
