"""`load_pairs`: anchors, positives and the corpus that comes with them, from the usual layouts of retrieval data.

| layout | what tells it | corpus |
|---|---|---|
| beir | a folder with ``corpus.jsonl``, ``queries.jsonl``, ``qrels/`` | ``corpus.jsonl`` |
| judged (BEIR, MTEB on the Hub) | configs ``corpus``, ``queries``; rows of query, document, score | config ``corpus`` |
| ids (sentence-transformers/msmarco) | these configs; rows of ``query_id``, ``positive_id`` | config ``corpus`` |
| labelled lists (the same) | these configs; rows of ``query_id``, ``doc_ids``, ``labels`` | config ``corpus`` |
| passages (Tevatron, RLHN) | ``positive_passages``: structs of ``docid``, ``title``, ``text`` | all its passages |
| passages (DPR) | ``positive_ctxs``, ``hard_negative_ctxs``, ``negative_ctxs``: structs of the same kind | the same |
| flagembedding | ``query``, ``pos``, ``neg`` | all its ``pos`` and ``neg`` |
| labelled pairs and lists | two texts and a label, or a list of texts with one of labels | none but the documents |
| triplets, tuples, lists | anchor, positive and columns of negatives | none but the positives and negatives |
| classes | texts with a class (where it is said) | all texts |
| texts | two columns of texts | none but the positives |

Judgments and labelled pairs become one row per anchor; the other layouts keep their rows.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from hfneg.base import columns as columns_of, store
from hfneg.data import files, gaps, layouts
from hfneg.data.corpora import as_corpus
from hfneg.data.corpus import Corpus
from hfneg.data.files import beir, mixed
from hfneg.data.files.beir import Missing
from hfneg.data.files.frames import as_dataset
from hfneg.data.files.readable import check_name, refuse_half_beir
from hfneg.data.layouts import Given, Layout, by_ids, guessing, judged_rows, labels, names, passages
from hfneg.data.origins import source_of
from hfneg.errors import ColumnError, InputError, SettingError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pairs:
    """Rows of anchors and positives, ready for `mine` or `Anchors`.

    Attributes:
        rows: a `Dataset`, or a `DatasetDict` of several splits.
        corpus: the documents that come with them; None: there are none but the positives.
        anchor, positive: the columns of `rows`.
        positives_are: whether `positive` holds texts or ids of the corpus.
        layout: which of the layouts above it was.
        hidden: the column of positives that were hidden for measuring, if any.
        negatives: the columns of given negatives.
        symmetric: whether pairs hold both ways, see `Anchors`.
        made_of: role -> what it was made of, where positives and given negatives are no columns of what was loaded.
    """

    rows: Any
    corpus: Corpus | None
    anchor: str
    positive: str
    positives_are: Literal["auto", "text", "id"] = "auto"
    layout: str = "texts"
    hidden: str | None = None
    negatives: tuple[str, ...] = ()
    symmetric: bool = False
    made_of: Mapping[str, str] = field(default_factory=dict)


@store.disk_full_is_said()
def load_pairs(
    pairs: Any,
    split: str | None = None,
    *,
    anchor: str | None = None,
    positive: str | None = None,
    negative: str | Sequence[str] | None = None,
    label: str | Literal[False] | None = None,
    min_grade: float | None = None,
    positive_label: str | Sequence[str] = (),
    negative_label: str | Sequence[str] = (),
    classes: bool = False,
    class_positives: int = 1,
    columns: Sequence[str] | None = None,
    missing: Missing | None = None,
    skip_missing: bool = False,
    show: int | None = None,
) -> Pairs:
    """Pairs and their corpus from a folder, a file, a Hub id or a dataset, whatever the layout.

    ::

        loaded = hfneg.load_pairs("mteb/scifact", "train")
        hfneg.mine(loaded, out="mined/")

    Args:
        pairs: a BEIR folder, a file, a saved dataset, any folder `load_dataset` opens, or a Hub id; a config behind
            a colon, ``sentence-transformers/msmarco:triplets``. Or a `Dataset` or `DatasetDict`, a frame of pandas or
            polars, a list of dictionaries.
        split: which one; where there are several and none is named, all of them.
        anchor, positive, negative, label: columns, where they are not called as usual. ``label=False``: all rows are
            positives, whatever a column of that name holds.
        min_grade: of grades and scores the least that makes a positive; what is below is a given negative.
        positive_label, negative_label: of named labels (such as NLI's) those that mean a positive and a given negative.
        classes: the texts have a class, not positives: then `class_positives` other texts of its class are the
            positives of each, and all of its class are known. `anchor` names the texts, `label` the class.
        columns: names for the columns of a CSV or TSV file whose first line does not name them.
        missing: "skip" leaves out judgments that name absent queries or documents, and counts them.
        skip_missing: leaves out rows without an anchor or a positive (empty cells of a CSV, say), and counts them.
        show: of a BEIR folder only, see `load_beir`.

    Raises InputError where it cannot be loaded or its columns say nothing; the message names what is there.
    """
    wanted = labels.WantedLabels(min_grade, _tuple(positive_label), _tuple(negative_label))
    given = Given(anchor, positive, _tuple(negative), label)
    if show is not None and not beir.is_beir(pairs):
        raise SettingError("--show-positives needs a BEIR folder, where the list of all positives is known")
    if isinstance(pairs, str | Path):
        check_name(pairs)
        refuse_half_beir(pairs)
    if isinstance(pairs, str | Path) and not classes:
        whole = _with_corpus(str(pairs), split, given, by_ids.Asked(min_grade, missing), show)
        if whole is not None:
            return whole
    rows = files.load_any(str(pairs), split, columns) if isinstance(pairs, str | Path) else _given(pairs, split)
    name = str(pairs) if isinstance(pairs, str | Path) else f"this {type(pairs).__name__}"
    if classes:
        return _by_class(rows, given, class_positives, name, skip_missing)
    return of_rows(rows, given, wanted, name, skip_missing)


def _with_corpus(path: str, split: str | None, given: Given, asked: by_ids.Asked, show: int | None) -> Pairs | None:
    """Of a BEIR folder, or of configs of ids; None for anything else."""
    if beir.is_beir(path):
        rows, corpus = beir.load_beir(path, split, show, min_grade=asked.min_grade, missing=asked.missing)
        columns = given.anchor or beir.ANCHOR, given.positive or beir.POSITIVE
        hidden = beir.HIDDEN if show is not None else None
        return Pairs(rows, corpus, *columns, layout="beir", hidden=hidden, negatives=_negative_of(rows))
    configs = by_ids.named_configs(path)
    if configs is None:
        return None
    documents = as_corpus(files.only_split(files.load_any(f"{configs.place}:{configs.corpus}")))
    assert documents is not None
    rows, layout = by_ids.by_ids(path, configs, documents, split, asked)
    return Pairs(rows, documents, beir.ANCHOR, beir.POSITIVE, "text", layout, negatives=_negative_of(_first(rows)))


def _negative_of(rows: Any) -> tuple[str, ...]:
    return (beir.NEGATIVE,) if beir.NEGATIVE in rows.column_names else ()


def of_rows(rows: Any, given: Given, wanted: labels.WantedLabels, name: str, skip_missing: bool = False) -> Pairs:
    """Rows that were loaded: their layout, and where labels say what is a positive the rows that they make."""
    first = _first(rows)
    if getattr(first, "features", None) is None:  # a stream that does not know its columns; `Anchors` looks into it
        anchor, positive = guessing.guess(list(next(iter(first), {})), given.anchor, given.positive)
        return Pairs(rows, None, anchor, positive, negatives=given.negatives)
    of_passages = passages.found_in(first.features, given.anchor, given.positive, given.negatives)
    if of_passages is not None:
        pairs, corpus, negatives = passages.read(rows, of_passages)
        given_negatives = (beir.NEGATIVE,) if negatives else ()
        return Pairs(pairs, corpus, of_passages.anchor, beir.POSITIVE, "text", "passages", negatives=given_negatives)
    layout = layouts.to_mine(first.features.arrow_schema, given)
    if skip_missing:
        needed = layout.positives[:1] if layout.label is None else (str(layout.documents), layout.label)
        rows = gaps.left_out(rows, (layout.anchor, *needed), name)
    if layout.label is not None:
        return _labelled(rows, layout, wanted, name)
    found = Pairs(rows, None, layout.anchor, layout.positives[0], layout="texts", negatives=layout.negatives)
    if layout.name == "flagembedding":
        corpus = Corpus.from_texts(_flat(rows, (*layout.positives, *layout.negatives)))
        return replace(found, corpus=corpus, positives_are="text", layout="flagembedding")
    return replace(found, layout=layout.name) if layout.negatives else found


def _labelled(rows: Any, layout: Layout, wanted: labels.WantedLabels, name: str) -> Pairs:
    """Where every row is a positive the rows stay as they are."""
    if not hasattr(_first(rows), "num_rows"):
        raise InputError(
            f"{name} is a stream of labelled pairs (column {layout.label!r}), which cannot be gathered by anchor: load "
            "it without streaming, or say label=False where all rows are positives"
        )
    splits = rows if isinstance(rows, dict) else {"": rows}
    found = {split: judged_rows.by_label(part, layout, wanted, name) for split, part in splits.items()}
    if all(part is None for part in found.values()):
        return Pairs(rows, None, layout.anchor, str(layout.documents))
    for split in [split for split, part in found.items() if part is None]:
        found[split] = (
            splits[split]
            .select_columns([layout.anchor, str(layout.documents)])
            .map(
                lambda row: {judged_rows.POSITIVE: [row[str(layout.documents)]]}, remove_columns=[str(layout.documents)]
            )
        )
    said: dict[str, Any] = {
        "label": layout.label,
        "anchor": layout.anchor,
        "positive": layout.documents,
        "min_grade": wanted.min_grade,
    }
    said |= {"positive_label": list(wanted.positive), "negative_label": list(wanted.negative)}
    result = _marked(found if isinstance(rows, dict) else found[""], rows, layout.name, said)
    negative = (judged_rows.NEGATIVE,) if judged_rows.NEGATIVE in _first(result).column_names else ()
    made_of = {"documents": str(layout.documents), "label": labels.in_words(str(layout.label), wanted)}
    made = Pairs(result, None, layout.anchor, judged_rows.POSITIVE, "auto", layout.name, negatives=negative)
    return replace(made, made_of=made_of)


def _by_class(rows: Any, given: Given, n: int, name: str, skip_missing: bool) -> Pairs:
    there = list(_first(rows).features)
    text = given.anchor or names.one_of(there, (*names.TEXTS, *names.ANCHORS))
    label = given.label or names.one_of([column for column in there if column != text], names.CLASSES)
    if text is None or not label:
        raise ColumnError(
            f"cannot tell which columns hold the texts and their classes; the columns are {', '.join(there)}: say "
            "--anchor COLUMN and --label COLUMN"
        )
    for column, role in ((text, "texts"), (label, "class of a text")):
        columns_of.require(column, there, role)
    if not isinstance(n, int) or n < 1:
        raise SettingError(f"class_positives={n!r} must be a whole number, 1 or more")
    rows = gaps.left_out(rows, (text, label), name) if skip_missing else rows
    splits = rows if isinstance(rows, dict) else {"": rows}
    corpus = Corpus.from_texts(judged_rows.texts_of(list(splits.values()), text))
    found = {split: judged_rows.by_class(part, text, label, n, name) for split, part in splits.items()}
    said = {"classes": True, "anchor": text, "label": label, "class_positives": n}
    result = _marked(found if isinstance(rows, dict) else found[""], rows, "classes", said)
    made_of = {"class": f"{label} (of {text}: {n} others of it for each, all are known)"}
    return Pairs(result, corpus, text, judged_rows.POSITIVE, "text", "classes", symmetric=True, made_of=made_of)


def _marked(result: Any, rows: Any, layout: str, said: Mapping[str, Any]) -> Any:
    """With the source of the rows that it was made from, and how they are read again (arguments of `load_pairs`)."""
    import datasets

    result = datasets.DatasetDict(result) if isinstance(result, dict) else result
    source = source_of(rows)
    if source is not None:
        result.source = {**source, "layout": layout, "read_as": {name: value for name, value in said.items() if value}}
    return result


def _first(rows: Any) -> Any:
    return next(iter(rows.values())) if isinstance(rows, dict) else rows


def _given(pairs: Any, split: str | None) -> Any:
    pairs = as_dataset(pairs, "pairs")
    if not hasattr(pairs, "column_names"):
        raise InputError(
            f"load_pairs reads a path, a Hub id, a Dataset, a DatasetDict, a data frame or a list of rows "
            f"(dictionaries), not a {type(pairs).__name__}"
        )
    chosen = pairs if split is None else files.split_of(pairs, f"this {type(pairs).__name__}", split)
    return mixed.settled(chosen)


def _tuple(given: str | Sequence[str] | None) -> tuple[str, ...]:
    return () if given is None else (given,) if isinstance(given, str) else tuple(given)


# Texts of the negatives in the rows themselves.


def _flat(rows: Any, there: Iterable[str]) -> Iterator[str]:
    """Texts and lists of texts; a text is a list of one."""
    for name in there:
        for texts in _column(rows, name):
            yield from (texts,) if isinstance(texts, str) else texts or ()


def _column(rows: Any, name: str) -> Iterator[Any]:
    """The values of one column, over all splits, in batches."""
    for part in rows.values() if isinstance(rows, dict) else (rows,):
        if name in part.column_names:
            for batch in part.select_columns(name).iter(1_000):
                yield from batch[name]
