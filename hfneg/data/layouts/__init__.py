"""Which columns of anybody's dataset hold the anchor, its positives, its negatives, their ids and labels.

| layout | columns |
|---|---|
| hfneg | anchor, positive, ``hard_negatives``, with ids, scores and sources beside them |
| triplets | anchor, positive, ``negative`` |
| tuples | anchor, positive, ``negative_1`` .. ``negative_n``; perhaps a list of their scores |
| lists | anchor, positive (a text or a list), a list of negatives |
| flagembedding | query, pos, neg (FlagEmbedding ``abc/finetune/*/AbsDataset.py``) |
| tevatron, dpr | query, positive_passages, negative_passages; question, positive_ctxs, hard_negative_ctxs, ... |
| listwise | anchor, a list of documents, a list of labels (the cross-encoders' listwise losses) |
| labelled_pairs | anchor, document, a label |
| pairs | anchor, positive |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa

from hfneg.base import columns
from hfneg.data.layouts import guessing, names, passages
from hfneg.data.layouts.guessing import TEXTUAL, Kinds, kinds_of
from hfneg.errors import ColumnError


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
        found = (self.anchor, *self.positives, *self.negatives, *self.aligned, *pairs, *single)
        return list(dict.fromkeys(name for name in found if name is not None))

    @property
    def roles(self) -> dict[str, list[str]]:
        """Role -> columns, for people."""
        if self.label is not None:
            return {"anchor": [self.anchor], "documents": [str(self.documents)], "label": [self.label]}
        return {"anchor": [self.anchor], "positive": list(self.positives), "negative": list(self.negatives)}


@dataclass(frozen=True)
class Given:
    """The names that the user gave; they go before any guess. A `label` of False: there is none."""

    anchor: str | None = None
    positive: str | None = None
    negatives: tuple[str, ...] = ()
    label: str | Literal[False] | None = None


def recognise(schema: pa.Schema, given: Given) -> Layout:
    """The layout of a dataset that has negatives, with this schema.

    Raises ColumnError listing the columns: a given one is missing or of no use, or nothing fits.
    """
    kinds = kinds_of(schema)
    _check_given(kinds, given)
    layout = _first_that_fits(kinds, given)
    if layout is None:
        raise ColumnError(
            f"cannot tell which columns hold negatives; the columns are {_listed(kinds)}. Known are hard_negatives "
            "(hfneg), negative, negative_1 .. n, neg beside pos, documents with labels, two texts with a label of 0 or "
            "1, negative_passages; otherwise say anchor=..., positive=... and negative=..."
        )
    return _with_ids(_checked(layout, kinds), kinds)


def pairs(schema: pa.Schema, given: Given) -> Layout:
    """The layout of a test set: anchors and positives alone."""
    kinds = kinds_of(schema)
    found = passages.found_in(kinds, given.anchor, given.positive, given.negatives)
    if found is not None and found.anchor in kinds:
        return Layout(found.name, found.anchor, (found.positive,))
    anchor, positive = _pair(kinds, given, ())
    return _checked(Layout("pairs", anchor, (positive,)), kinds)


def to_mine(schema: pa.Schema, given: Given) -> Layout:
    """The layout of rows that are to be mined: negatives and labels where there are any, else pairs.

    Columns that an earlier mining left do not count. Raises ColumnError as `recognise`, and for texts with a class.
    """
    kinds = {name: kind for name, kind in kinds_of(schema).items() if name not in columns.OURS}
    _check_given(kinds, given)
    layout = _first_that_fits(kinds, given, strict=False)
    if layout is None:
        layout = _plain(kinds, given)
    found = next((name for name in names.ANCHOR_IDS if name in kinds), None)
    return replace(layout, anchor_id=found, aligned=(), scores=(), target=None)


def _plain(kinds: Kinds, given: Given) -> Layout:
    """Rows of which no attempt made something: the documents' column may hold ids. A label is never passed over."""
    label = _label(kinds, given)
    others = {name: kind for name, kind in kinds.items() if name != label or name in (given.anchor, given.positive)}
    anchor, positive = guessing.of_any(others if len(others) > 1 else kinds, given.anchor, given.positive)
    for name, role in ((anchor, "anchor"), (positive, "positive")):
        columns.require(name, kinds, role)
    if label not in (None, anchor, positive) and kinds[positive] in ("text", "number"):
        return Layout("labelled_pairs", anchor, documents=positive, label=label, in_lists=False)
    ids = names.one_of(kinds, names.NEGATIVE_IDS) if names.is_id(positive) else None
    return Layout("pairs" if ids is None else "lists", anchor, (positive,), () if ids is None else (ids,))


def _check_given(kinds: Kinds, given: Given) -> None:
    label = given.label or None
    roles = ((given.anchor, "anchor"), (given.positive, "positive"), (label, "label"))
    for name, role in (*roles, *((name, "negatives") for name in given.negatives)):
        if name is not None:
            columns.require(name, kinds, role)


def _first_that_fits(kinds: Kinds, given: Given, *, strict: bool = True) -> Layout | None:
    """By the attempts in their order; unless `strict`, one whose anchor cannot be told does not fit."""
    for attempt in _ATTEMPTS:
        try:
            layout = attempt(kinds, given)
        except ColumnError:
            if strict or given.negatives or given.label:
                raise
            layout = None
        if layout is not None:
            return layout
    return None


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


def _passages(kinds: Kinds, given: Given) -> Layout | None:
    for found in passages.KNOWN:
        there = [name for name in (found.positive, *found.negatives) if kinds.get(name) == "passages"]
        anchor = given.anchor or (found.anchor if found.anchor in kinds else None)
        if there[:1] == [found.positive] and given.positive in (None, found.positive) and there[1:] and anchor:
            return Layout(found.name, anchor, (found.positive,), tuple(there[1:]))
    return None


def _flagembedding(kinds: Kinds, given: Given) -> Layout | None:
    """Lists, and also single texts, which some write where they have one."""
    if any(kinds.get(name) not in ("text", "texts") for name in ("pos", "neg")) or given.positive not in (None, "pos"):
        return None
    anchor = given.anchor or ("query" if "query" in kinds else None)
    if anchor is None:
        return None
    in_lists = kinds["neg"] == "texts"
    scored = in_lists and kinds.get("neg_scores") == "numbers"
    return Layout(
        "flagembedding",
        anchor,
        ("pos",),
        ("neg",),
        aligned=("neg_scores",) if scored else (),
        scores=(("pos_scores", "neg_scores"),) if scored and kinds.get("pos_scores") == "numbers" else (),
        in_lists=in_lists,
    )


def _tuples(kinds: Kinds, given: Given) -> Layout | None:
    texts = (name for name, kind in kinds.items() if kind == "text")
    found = [(int(m[1]), name) for name in texts if (m := names.NUMBERED_NEGATIVE.match(name))]
    if not found:
        return None
    negatives = tuple(name for _, name in sorted(found))
    target = _target(kinds)
    anchor, positive = _pair(kinds, given, (*negatives, *names.TRAINER_LABELS))
    return Layout("tuples", anchor, (positive,), negatives, target=target, in_lists=False)


def _negative(kinds: Kinds, given: Given) -> Layout | None:
    name = names.one_of([name for name, kind in kinds.items() if kind in ("text", "texts")], names.NEGATIVES)
    if name is None:
        return None
    anchor, positive = _pair(kinds, given, (name, *names.TRAINER_LABELS))
    one = kinds[name] == "text"
    kind = "triplets" if one else "lists"
    return Layout(kind, anchor, (positive,), (name,), target=_target(kinds) if one else None, in_lists=not one)


def _target(kinds: Kinds) -> str | None:
    return next((label for label in names.TRAINER_LABELS if kinds.get(label) == "numbers"), None)


def _listwise(kinds: Kinds, given: Given) -> Layout | None:
    lists = [name for name, kind in kinds.items() if kind == "numbers"]
    label = given.label if given.label in lists else names.one_of(lists, names.LABELS)
    texts = [name for name, kind in kinds.items() if kind == "texts" and not names.is_id(name)]
    usual = names.one_of(texts, names.DOCUMENT_LISTS)
    documents = given.positive or usual or (texts[0] if len(texts) == 1 else None)
    if not label or documents is None or given.label is False or kinds.get(documents) != "texts":
        return None
    anchor, _ = _pair(kinds, replace(given, positive=documents), names.TRAINER_LABELS)
    return Layout("listwise", anchor, documents=documents, label=label, aligned=(label,))


def _labelled(kinds: Kinds, given: Given) -> Layout | None:
    """A number, or a text beside two other texts, that is called as labels are."""
    label = _label(kinds, given)
    if label is None or label in (given.anchor, given.positive):
        return None
    anchor, document = _pair(kinds, given, (label, *names.TRAINER_LABELS))
    return Layout("labelled_pairs", anchor, documents=document, label=label, in_lists=False)


def _label(kinds: Kinds, given: Given) -> str | None:
    """The column of labels: as given, else by its name a column of numbers, or one of texts beside two others."""
    if given.label is False:
        return None
    numbers = names.one_of([name for name, kind in kinds.items() if kind == "number"], names.LABELS)
    if given.label or numbers is not None:
        return given.label or numbers
    worded = names.one_of([name for name, kind in kinds.items() if kind == "text"], names.LABELS)
    texts = [name for name, kind in kinds.items() if kind == "text" and name != worded]
    return None if worded in (given.anchor, given.positive) or len(texts) < 2 else worded


_ATTEMPTS: Sequence[Callable[[Kinds, Given], Layout | None]] = (
    _given,
    _ours,
    _passages,
    _flagembedding,
    _tuples,
    _negative,
    _listwise,
    _labelled,
)


def _pair(kinds: Kinds, given: Given, others: Iterable[str]) -> tuple[str, str]:
    """The anchor's and the positive's (or the document's) column, among those of texts that are not `others`."""
    return guessing.of_texts(kinds, given.anchor, given.positive, others)


def _with_ids(layout: Layout, kinds: Kinds) -> Layout:
    """The same with the columns of ids, by their usual names, where they have the shape of the texts."""
    anchor = names.one_of([name for name, kind in kinds.items() if kind in ("text", "number")], names.ANCHOR_IDS)
    shapes = ("texts", "numbers") if layout.in_lists else ("text", "number")
    usual = (columns.NEGATIVE_IDS,) if layout.name == "hfneg" else names.NEGATIVE_IDS
    there = [name for name, kind in kinds.items() if kind in shapes] if len(layout.negatives) == 1 else []
    ids = names.one_of(there, usual)
    beside = (ids,) if ids is not None and layout.in_lists and ids not in layout.aligned else ()
    return replace(layout, anchor_id=anchor, negative_ids=ids, aligned=(*layout.aligned, *beside))


def _checked(layout: Layout, kinds: Kinds) -> Layout:
    """The layout, where its columns hold texts."""
    if kinds[layout.anchor] != "text":
        raise ColumnError(f"the anchors' column {layout.anchor!r} does not hold one text a row; say anchor=...")
    for name in (*layout.positives, *layout.negatives, *filter(None, [layout.documents])):
        if kinds[name] not in TEXTUAL or names.is_id(name):
            what = "numbers (ids?)" if kinds[name] in ("number", "numbers") else "something else than texts"
            what = "ids, by its name" if names.is_id(name) else what
            raise ColumnError(
                f"column {name!r} holds {what}; audit compares texts: name a column of texts or of lists of texts "
                f"(positive=..., negative=...); the columns are {_listed(kinds)}"
            )
    if len(set(layout.columns)) < 2 or layout.anchor in (*layout.positives, *layout.negatives, layout.documents):
        raise ColumnError(f"the column {layout.anchor!r} cannot be the anchor and something else too")
    return layout


def _listed(there: Iterable[str]) -> str:
    return ", ".join(map(repr, there)) or "none"
