"""BEIR folders: ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/``, as pairs and corpus."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hfneg.base import columns
from hfneg.base.files import json_lines
from hfneg.base.lists import refuse_surrogates
from hfneg.data.corpus import Corpus
from hfneg.data.files.qrels import must_be_qrels
from hfneg.data.files.readable import refuse_half_beir, refuse_special
from hfneg.errors import EmptyInputError, InputError, PositiveError, near_miss

if TYPE_CHECKING:
    import datasets

ANCHOR, POSITIVE, HIDDEN, NEGATIVE = "query", "positive", "hidden_positive_ids", "negative"
POSITIVE_IDS, NEGATIVE_IDS = "positive_ids", "negative_ids"
SUFFIXES = (".tsv", ".qrels", ".qrel", ".trec", ".txt")

Missing = Literal["add", "refuse", "skip"]
log = logging.getLogger(__name__)


def is_beir(path: Any) -> bool:
    """Whether this is a folder with ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/``."""
    if not isinstance(path, str | Path):
        return False
    folder = Path(path)
    return (folder / "corpus.jsonl").is_file() and (folder / "queries.jsonl").is_file() and (folder / "qrels").is_dir()


def load_beir(
    folder: str | Path,
    split: str | None = None,
    show: int | None = None,
    *,
    min_grade: float | None = None,
    missing: Missing | None = None,
) -> tuple[datasets.Dataset, Corpus]:
    """A BEIR folder as pairs and corpus: one row per anchor, with the list of its positives.

    Args:
        folder: with ``corpus.jsonl``, ``queries.jsonl``, ``qrels/SPLIT.tsv``. Judgments may have BEIR's three columns
            or TREC's four, between tabs or blanks.
        split: the qrels to read; "train" where there is one, else the only one.
        show: keep only the first `show` positives of each anchor; the others go into the column
            ``hidden_positive_ids``, which mining does not read. For measuring.
        min_grade: the least grade that makes a positive; None: any above zero. Documents judged below are given
            negatives.
        missing: "skip" leaves out judgments that name an absent query or document, and counts them; else they are
            refused.

    Returns:
        Columns ``query_id``, ``query``, ``positive_ids``, ``positive`` (their texts), where there are given negatives
        ``negative_ids`` and ``negative``, and the corpus. Queries with given negatives alone are left out, and counted.
    """
    import datasets

    path = Path(folder)
    refuse_half_beir(path)
    refuse_special(path)
    corpus = Corpus.from_beir(path)
    queries = _queries(path / "queries.jsonl")
    judged = _Judged.read(path, split, queries, corpus, min_grade, missing)
    asked, positives = list(judged.positives), judged.positives
    shown = {query: documents[:show] for query, documents in positives.items()}
    rows: dict[str, list[Any]] = {
        "query_id": asked,
        ANCHOR: [queries[query] for query in asked],
        POSITIVE_IDS: list(shown.values()),
        POSITIVE: [_texts(corpus, documents) for documents in shown.values()],
    }
    if judged.negatives:
        given = [judged.negatives.get(query, []) for query in asked]
        rows |= {NEGATIVE_IDS: given, NEGATIVE: [_texts(corpus, documents) for documents in given]}
    if show is not None:
        rows[HIDDEN] = [positives[query][show:] for query in asked]
    texts = datasets.List(datasets.Value("string"))
    features = {name: datasets.Value("string") if name in ("query_id", ANCHOR) else texts for name in rows}
    return datasets.Dataset.from_dict(rows, features=datasets.Features(features)), corpus


@dataclass
class _Judged:
    """Documents of each query, in the order of the judgments: `positives` of those that have one."""

    positives: dict[str, list[str]] = field(default_factory=dict)
    negatives: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        folder: Path,
        split: str | None,
        queries: dict[str, str],
        corpus: Corpus,
        min_grade: float | None,
        missing: Missing | None,
    ) -> _Judged:
        file = qrels_of(folder, split)
        found = must_be_qrels(file)
        known = corpus.rows_of_ids(found.documents) >= 0
        absent: list[tuple[str, str]] = []
        judged = cls()
        for query, document, grade, there in zip(
            found.queries, found.documents, found.grades, known.tolist(), strict=True
        ):
            if query not in queries or not there:
                absent.append((query, document))
                continue
            relevant = grade > 0 if min_grade is None else grade >= min_grade
            (judged.positives if relevant else judged.negatives).setdefault(query, []).append(document)
        if absent:
            _refuse_absent(folder, absent, queries, len(known), missing)
        if found.repeated:
            log.warning("%s: %d lines repeat an earlier judgment and count once", file, found.repeated)
        if not judged.positives:
            raise EmptyInputError(f"{folder}: the qrels name no relevant document")
        if alone := judged.negatives.keys() - judged.positives.keys():
            said = "%s: %d queries have negatives alone (such as %r); they are judged, and left out of mining"
            log.warning(said, folder, len(alone), min(alone))
        return judged


def _refuse_absent(
    folder: Path, absent: list[tuple[str, str]], queries: Iterable[str], judged: int, missing: Missing | None
) -> None:
    """Raise PositiveError, or say how many are left out."""
    query, document = absent[0]
    no_query = query not in queries
    what = f"the query {query!r}, which queries.jsonl" if no_query else f"the document {document!r}, which corpus.jsonl"
    if missing != "skip":
        raise PositiveError(
            f"{folder}: the qrels name {what} does not have (and so {len(absent):,} of {judged:,} judgments); add it, "
            "or leave such judgments out with missing='skip'"
        )
    log.warning(
        "%s: %d of %d judgments name what is not there (the first: %s does not have) and are left out",
        *(folder, len(absent), judged, what),
    )


def _queries(path: Path) -> dict[str, str]:
    """Text by id; ids as texts, as in the corpus. An id with two texts is refused."""
    queries: dict[str, str] = {}
    for row in json_lines.read(path):
        for key in ("_id", "text"):
            columns.require(key, row, f"{key} of a query in {path}")
            refuse_surrogates([str(row[key])], f"{key} of a query in {path}")
        if queries.setdefault(str(row["_id"]), row["text"]) != row["text"]:
            raise InputError(
                f"{path}: the query {str(row['_id'])!r} is there with two texts, {queries[str(row['_id'])]!r} and "
                f"{row['text']!r}; give each query an id of its own"
            )
    return queries


def qrels_of(folder: Path, split: str | None) -> Path:
    files = sorted(path for path in (folder / "qrels").iterdir() if path.suffix in SUFFIXES and path.is_file())
    found = {path.stem: path for path in files}
    if split is None:
        split = "train" if "train" in found else next(iter(found)) if len(found) == 1 else None
    if split not in found:
        wanted = "say which split" if split is None else f"there is no split {split!r}"
        raise InputError(
            f"{folder}/qrels: {wanted}; there are {', '.join(found) or 'none'}.{near_miss(split or '', found)}"
        )
    return found[split]


def _texts(corpus: Corpus, ids: list[str]) -> list[str]:
    texts: list[str] = corpus.texts(corpus.rows_of_ids(ids)).to_pylist()
    return texts
