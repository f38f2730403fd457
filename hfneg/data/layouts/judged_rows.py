"""From labelled pairs and labelled lists, and from texts with a class, to rows of an anchor with its documents."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hfneg.base.arrays import Ints
from hfneg.base.hashing import first_occurrences, hash_texts, mix, normal_form
from hfneg.base.lists import SKIP, Lists, offsets
from hfneg.data.layouts import Layout, labels, tables
from hfneg.data.layouts.guessing import is_list
from hfneg.errors import ColumnError, EmptyInputError, InputError

POSITIVE, NEGATIVE = "positive", "negative"
TEXT = pa.large_string()
log = logging.getLogger(__name__)


def by_label(rows: Any, layout: Layout, wanted: labels.WantedLabels, name: str) -> Any | None:
    """One row per anchor with lists of its positives and given negatives; None where every row is a positive.

    Args:
        rows: a `Dataset`.
        layout: with `documents` and `label`, which stand in single values or in aligned lists.
        name: of the dataset, for messages.

    Anchors without a positive are left out, and counted in a log line. Raises InputError for labels that do not say
    what they mean, EmptyInputError where no positive is left.
    """
    import datasets

    assert layout.documents is not None
    assert layout.label is not None
    table = rows.with_format("arrow").select_columns([layout.anchor, layout.documents, layout.label])[:]
    anchors = tables.column(table, layout.anchor).cast(TEXT)
    documents, values = tables.column(table, layout.documents), tables.column(table, layout.label)
    classes = getattr(rows.features[layout.label], "names", None)
    if is_list(values.type):
        anchors, documents, values = _flat(anchors, documents, values, layout)
    codes = labels.meaning(values, layout.label, wanted, classes)
    if (codes == labels.RELEVANT).all() and not is_list(table[layout.label].type):
        return None
    unsaid = int((codes == labels.UNSAID).sum())
    if unsaid:
        log.warning("%s: %d pairs have no label that says relevant or not, and are left out", name, unsaid)
    texts = tables.texts_of(documents)
    found = _grouped(anchors, texts.flat, codes, layout.anchor)
    if not found.num_rows:
        raise EmptyInputError(f"{name}: no label in column {layout.label!r} says that a pair is relevant")
    alone = pc.count_distinct(anchors).as_py() - found.num_rows
    if alone:
        log.warning("%s: %d anchors have no positive; they are judged, and left out of mining", name, alone)
    kinds = {layout.anchor: pa.string(), POSITIVE: pa.list_(pa.string()), NEGATIVE: pa.list_(pa.string())}
    return datasets.Dataset(found.cast(pa.schema([(n, k) for n, k in kinds.items() if n in found.column_names])))


def _flat(anchors: Any, documents: Any, values: Any, layout: Layout) -> tuple[Any, Any, Any]:
    if not pc.all(pc.equal(pc.list_value_length(documents), pc.list_value_length(values))).as_py():
        raise ColumnError(
            f"{layout.documents!r} and {layout.label!r} are not of the same length in every row; they must hold one "
            "label per document"
        )
    owners = pc.list_parent_indices(documents)
    return anchors.take(owners), pc.list_flatten(documents), pc.list_flatten(values)


def _grouped(anchors: pa.Array, documents: pa.Array, codes: labels.Codes, anchor: str) -> pa.Table:
    """A row for each anchor that has a positive, in the order of appearance."""
    relevant = codes == labels.RELEVANT
    asked = anchors.filter(pa.array(relevant)).unique()
    owner = pc.index_in(anchors, value_set=asked).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    found = {anchor: asked}
    for name, mask in ((POSITIVE, relevant), (NEGATIVE, (codes == labels.NOT_RELEVANT) & (owner >= 0))):
        at = np.flatnonzero(mask)
        at = at[np.argsort(owner[at], kind="stable")]
        if len(at):
            ends = np.searchsorted(owner[at], np.arange(len(asked) + 1))
            found[name] = pa.LargeListArray.from_arrays(pa.array(ends, pa.int64()), documents.take(pa.array(at)))
    return pa.table(found)


def by_class(rows: Any, text: str, label: str, n: int, name: str) -> Any:
    """The rows, each with a list `positive` of `n` other texts of its class.

    A class is a ring in an order drawn by its texts, and a row's positives are those that follow it: so all texts of a
    class hang together, and with ``Anchors(..., symmetric=True)`` all of them are known and none is mined. A row whose
    class has one text only is left out, and counted.

    Raises InputError for a text with two classes, EmptyInputError where no class has two texts.
    """
    table = rows.with_format("arrow").select_columns([text, label])[:]
    texts = tables.column(table, text).cast(TEXT)
    if texts.null_count:
        raise ColumnError(f"{name}: column {text!r} holds null; {SKIP}")
    classes = tables.column(table, label).dictionary_encode()
    if classes.null_count:
        raise ColumnError(f"{name}: column {label!r} holds null; every text needs a class; {SKIP}")
    codes = classes.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    hashes = hash_texts(normal_form(value) for value in texts.to_pylist())
    first = first_occurrences(hashes)
    unlike = np.flatnonzero(codes != codes[first])
    if len(unlike):
        i = int(unlike[0])
        both = [classes.dictionary[int(codes[at])].as_py() for at in (first[i], i)]
        raise InputError(
            f"{name}: {texts[i].as_py()[:80]!r} has two classes, {both[0]!r} and {both[1]!r} ({len(unlike):,} such "
            "rows): positives and negatives would contradict each other; keep one of them"
        )
    following = _following(codes, first, hashes, n)
    kept = np.flatnonzero(following.lengths)
    if not len(kept):
        raise EmptyInputError(f"{name}: no class in column {label!r} has two texts")
    if len(kept) < len(codes):
        said = "%s: %d rows are left out, because their class has no other text"
        log.warning(said, name, len(codes) - len(kept))
    lists = following.take(kept)
    positive = pa.ListArray.from_arrays(
        pa.array(lists.indptr, pa.int32()), texts.take(pa.array(lists.flat)).cast(pa.string())
    )
    return _with_column(rows.select(kept) if len(kept) < len(codes) else rows, positive)


def _following(codes: Ints, first: Ints, hashes: Any, n: int) -> Lists:
    """Rows of the next `n` distinct texts of the same class, round its ring; fewer in a small class."""
    distinct = np.flatnonzero(first == np.arange(len(first)))
    drawn = mix(np.asarray(hashes["low"][distinct], dtype=np.uint64))
    ring = distinct[np.lexsort((drawn, codes[distinct]))]
    sizes = np.bincount(codes[ring], minlength=int(codes.max(initial=0)) + 1)
    start = offsets(sizes)[codes]
    place = np.empty(len(codes), dtype=np.int64)
    place[ring] = np.arange(len(ring))
    own, size = place[first] - start, sizes[codes]
    lengths = np.minimum(size - 1, n)
    step = np.arange(lengths.sum()) - np.repeat(offsets(lengths)[:-1], lengths) + 1
    at = np.repeat(start, lengths) + (np.repeat(own, lengths) + step) % np.repeat(size, lengths)
    return Lists(offsets(lengths), ring[at])


def _with_column(rows: Any, positive: pa.Array) -> Any:
    import datasets

    feature = datasets.List(datasets.Value("string"))
    kept = [name for name in rows.column_names if name != POSITIVE]
    return rows.select_columns(kept).add_column(POSITIVE, positive, feature=feature)


def texts_of(rows: Sequence[Any], text: str) -> Any:
    """All texts of a column, over all splits, in batches."""
    for part in rows:
        for batch in part.select_columns(text).with_format(None).iter(1_000):
            yield from batch[text]
