"""Which columns of anybody's dataset hold the anchor, its positives and its negatives.

| layout | columns |
|---|---|
| hfneg | anchor, positive, ``hard_negatives``, with ids, scores and sources beside them |
| triplets | anchor, positive, ``negative`` |
| tuples | anchor, positive, ``negative_1`` .. ``negative_n``; perhaps a list of their scores |
| lists | anchor, positive (a text or a list), a list of negatives |
| flagembedding | query, pos, neg (FlagEmbedding ``abc/finetune/*/AbsDataset.py``) |
| tevatron | query, positive_passages, negative_passages (Tevatron ``retriever/dataset.py``) |
| listwise | anchor, a list of documents, a list of labels (the cross-encoders' listwise losses) |
| labelled_pairs | anchor, document, 0 or 1 |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa

from hfneg import columns
from hfneg.errors import ColumnError
from hfneg.formats.layout import is_id_column
from hfneg.loading import guess_columns

Kind = Literal["text", "texts", "number", "numbers", "passages", "other"]
Kinds = Mapping[str, Kind]

LABELS = ("label", "labels", "score", "scores")
DOCUMENTS = ("documents", "docs", "passages", "texts", "candidates")
NEGATIVE_NAMES = ("negative", "hard_negative", "negatives", "neg", "negative_text")
NUMBERED = re.compile(r"(?:hard_)?neg(?:ative)?_?(\d+)$")
ANCHOR_IDS = ("query_id", "anchor_id", "question_id", "qid", "query-id")


@dataclass(frozen=True)
class Layout:
    """The columns to read.

    `positives` and `negatives` may each be several columns of texts or of lists. Where there is a `label`,
    `documents` holds positives (label above zero) and negatives. The columns of `aligned` hold one value per
    negative; the first of each pair in `scores` one per positive, the second one per negative. `target` is a
    trainer's list of scores for positive and negatives.
    """

    name: str
    anchor: str
    positives: tuple[str, ...] = ()
    negatives: tuple[str, ...] = ()
    documents: str | None = None
    label: str | None = None
    aligned: tuple[str, ...] = ()
    scores: tuple[tuple[str, str], ...] = ()
    target: str | None = None
    sources: str | None = None
    anchor_id: str | None = None
    negative_ids: str | None = None
    in_lists: bool = True  # a row's negatives lie in lists, which can be made shorter

    @property
    def columns(self) -> list[str]:
        """Every column that is read, each once."""
        pairs = (name for pair in self.scores for name in pair)
        single = (self.documents, self.label, self.target, self.sources, self.anchor_id, self.negative_ids)
        names = (self.anchor, *self.positives, *self.negatives, *self.aligned, *pairs, *single)
        return list(dict.fromkeys(name for name in names if name is not None))

    @property
    def roles(self) -> dict[str, list[str]]:
        """Role -> columns, for people."""
        if self.label is not None:
            return {"anchor": [self.anchor], "documents": [str(self.documents)], "label": [self.label]}
        return {"anchor": [self.anchor], "positive": list(self.positives), "negative": list(self.negatives)}


@dataclass(frozen=True)
class Given:
    """The names that the user gave; they go before any guess."""

    anchor: str | None = None
    positive: str | None = None
    negatives: tuple[str, ...] = ()


def recognise(schema: pa.Schema, given: Given) -> Layout:
    """The layout of a dataset with this schema.

    Raises ColumnError listing the columns: a given one is missing or of no use, or nothing fits.
    """
    kinds = {field.name: kind_of(field.type) for field in schema}
    roles = ((given.anchor, "anchor"), (given.positive, "positive"), *((n, "negatives") for n in given.negatives))
    for name, role in roles:
        if name is not None:
            columns.require(name, kinds, role)
    for attempt in _ATTEMPTS:
        layout = attempt(kinds, given)
        if layout is not None:
            return _with_ids(_checked(layout, kinds), kinds)
    raise ColumnError(
        f"cannot tell which columns hold negatives; the columns are {_listed(kinds)}. Known are hard_negatives "
        "(hfneg), negative, negative_1 .. n, neg beside pos, documents with labels, two texts with a label of 0 or "
        "1, negative_passages; otherwise say anchor=..., positive=... and negative=..."
    )


def pairs(schema: pa.Schema, given: Given) -> Layout:
    """The layout of a test set: anchors and positives alone."""
    kinds = {field.name: kind_of(field.type) for field in schema}
    if {"query", "positive_passages"} <= set(kinds) and given == Given():
        return Layout("tevatron", "query", ("positive_passages",))
    anchor, positive = _pair(kinds, given, ())
    return _checked(Layout("pairs", anchor, (positive,)), kinds)


def kind_of(type: pa.DataType) -> Kind:
    """What a column holds; a column of nulls may be of texts."""
    if pa.types.is_string(type) or pa.types.is_large_string(type) or pa.types.is_null(type):
        return "text"
    if pa.types.is_integer(type) or pa.types.is_floating(type) or pa.types.is_boolean(type):
        return "number"
    if is_list(type):
        if pa.types.is_struct(type.value_type) and type.value_type.get_field_index("text") >= 0:
            return "passages"
        several: dict[Kind, Kind] = {"text": "texts", "number": "numbers"}
        return several.get(kind_of(type.value_type), "other")
    return "other"


def is_list(type: pa.DataType) -> bool:
    """A list of any of Arrow's three kinds."""
    return bool(pa.types.is_list(type) or pa.types.is_large_list(type) or pa.types.is_fixed_size_list(type))


def _given(kinds: Kinds, given: Given) -> Layout | None:
    if not given.negatives or given.negatives == (columns.NEGATIVES,):
        return None
    anchor, positive = _pair(kinds, given, given.negatives)
    several = len(given.negatives) > 1
    in_lists = not several and kinds[given.negatives[0]] in ("texts", "passages")
    name = "tuples" if several else "lists" if in_lists else "triplets"
    return Layout(name, anchor, (positive,), given.negatives, in_lists=in_lists)


def _ours(kinds: Kinds, given: Given) -> Layout | None:
    if columns.NEGATIVES not in kinds:
        return None
    anchor, positive = _pair(kinds, given, columns.OURS)
    extra = (columns.EXTRA_POSITIVES,) if columns.EXTRA_POSITIVES in kinds else ()
    beside = (columns.NEGATIVE_IDS, columns.NEGATIVE_SCORES, columns.NEGATIVE_TEACHER_SCORES, columns.NEGATIVE_SOURCES)
    both = (
        (columns.POSITIVE_SCORES, columns.NEGATIVE_SCORES),
        (columns.POSITIVE_TEACHER_SCORES, columns.NEGATIVE_TEACHER_SCORES),
    )
    return Layout(
        "hfneg",
        anchor,
        (positive, *extra),
        (columns.NEGATIVES,),
        aligned=tuple(name for name in beside if name in kinds),
        scores=tuple(pair for pair in both if set(pair) <= set(kinds)),
        sources=columns.NEGATIVE_SOURCES if columns.NEGATIVE_SOURCES in kinds else None,
    )


def _tevatron(kinds: Kinds, given: Given) -> Layout | None:
    wanted = ("positive_passages", "negative_passages")
    if any(kinds.get(name) != "passages" for name in wanted):
        return None
    anchor = given.anchor or ("query" if "query" in kinds else None)
    return None if anchor is None else Layout("tevatron", anchor, wanted[:1], wanted[1:])


def _flagembedding(kinds: Kinds, given: Given) -> Layout | None:
    if any(kinds.get(name) != "texts" for name in ("pos", "neg")):
        return None
    anchor = given.anchor or ("query" if "query" in kinds else None)
    if anchor is None:
        return None
    scored = kinds.get("neg_scores") == "numbers"
    return Layout(
        "flagembedding",
        anchor,
        ("pos",),
        ("neg",),
        aligned=("neg_scores",) if scored else (),
        scores=(("pos_scores", "neg_scores"),) if scored and kinds.get("pos_scores") == "numbers" else (),
    )


def _tuples(kinds: Kinds, given: Given) -> Layout | None:
    found = [(int(m[1]), name) for name, kind in kinds.items() if kind == "text" and (m := NUMBERED.match(name))]
    if not found:
        return None
    negatives = tuple(name for _, name in sorted(found))
    target = next((name for name in LABELS if kinds.get(name) == "numbers"), None)
    anchor, positive = _pair(kinds, given, (*negatives, *LABELS))
    return Layout("tuples", anchor, (positive,), negatives, target=target, in_lists=False)


def _negative(kinds: Kinds, given: Given) -> Layout | None:
    name = next((name for name in NEGATIVE_NAMES if kinds.get(name) in ("text", "texts")), None)
    if name is None:
        return None
    anchor, positive = _pair(kinds, given, (name, *LABELS))
    one = kinds[name] == "text"
    target = next((label for label in LABELS if one and kinds.get(label) == "numbers"), None)
    kind = "triplets" if one else "lists"
    return Layout(kind, anchor, (positive,), (name,), target=target, in_lists=not one)


def _listwise(kinds: Kinds, given: Given) -> Layout | None:
    label = next((name for name in LABELS if kinds.get(name) == "numbers"), None)
    lists = [name for name, kind in kinds.items() if kind == "texts" and not is_id_column(name)]
    usual = (name for name in DOCUMENTS if name in lists)
    documents = given.positive or next(usual, lists[0] if len(lists) == 1 else None)
    if label is None or documents is None:
        return None
    anchor, _ = _pair(kinds, Given(given.anchor, documents), LABELS)
    return Layout("listwise", anchor, documents=documents, label=label, aligned=(label,))


def _labelled(kinds: Kinds, given: Given) -> Layout | None:
    label = next((name for name in LABELS if kinds.get(name) == "number"), None)
    if label is None:
        return None
    anchor, document = _pair(kinds, given, LABELS)
    return Layout("labelled_pairs", anchor, documents=document, label=label, in_lists=False)


_ATTEMPTS: Sequence[Callable[[Kinds, Given], Layout | None]] = (
    _given,
    _ours,
    _tevatron,
    _flagembedding,
    _tuples,
    _negative,
    _listwise,
    _labelled,
)


def _pair(kinds: Kinds, given: Given, others: Iterable[str]) -> tuple[str, str]:
    """The anchor's and the positive's (or the document's) column, among those that are not `others`."""
    texts = [name for name, kind in kinds.items() if kind in ("text", "texts", "passages") and not is_id_column(name)]
    left = [name for name in texts if name not in others and name not in columns.OURS]
    return guess_columns(left, given.anchor, given.positive)


def _with_ids(layout: Layout, kinds: Kinds) -> Layout:
    """The same with the columns of ids, by their usual names, where they have the shape of the texts."""
    anchor = next((name for name in ANCHOR_IDS if kinds.get(name) in ("text", "number")), None)
    usual = {"hfneg": (columns.NEGATIVE_IDS,), "flagembedding": ("neg_id", "neg_ids")}
    shapes = ("texts", "numbers") if layout.in_lists else ("text", "number")
    names = usual.get(layout.name, ("negative_ids", "negative_id")) if len(layout.negatives) == 1 else ()
    ids = next((name for name in names if kinds.get(name) in shapes), None)
    beside = (ids,) if ids is not None and layout.in_lists and ids not in layout.aligned else ()
    return replace(layout, anchor_id=anchor, negative_ids=ids, aligned=(*layout.aligned, *beside))


def _checked(layout: Layout, kinds: Kinds) -> Layout:
    """The layout, where its columns hold texts."""
    if kinds[layout.anchor] != "text":
        raise ColumnError(f"the anchors' column {layout.anchor!r} does not hold one text a row; say anchor=...")
    for name in (*layout.positives, *layout.negatives, *filter(None, [layout.documents])):
        if kinds[name] not in ("text", "texts", "passages") or is_id_column(name):
            what = "numbers (ids?)" if kinds[name] in ("number", "numbers") else "something else than texts"
            what = "ids, by its name" if is_id_column(name) else what
            raise ColumnError(
                f"column {name!r} holds {what}; audit compares texts: name a column of texts or of lists of texts "
                f"(positive=..., negative=...); the columns are {_listed(kinds)}"
            )
    if len(set(layout.columns)) < 2 or layout.anchor in (*layout.positives, *layout.negatives, layout.documents):
        raise ColumnError(f"the column {layout.anchor!r} cannot be the anchor and something else too")
    return layout


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names)) or "none"
