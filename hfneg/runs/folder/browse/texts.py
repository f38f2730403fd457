"""The texts behind a ledger's rows: from the corpus in the store, else what the mined rows themselves hold."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow.parquet as pq

from hfneg.base import columns
from hfneg.base.hashing import normal_form
from hfneg.data.corpus import Corpus
from hfneg.errors import DamagedError, StoreError
from hfneg.runs.folder.browse.chosen import ChosenAnchors
from hfneg.runs.folder.ledger_files import MinedLedger
from hfneg.runs.folder.mined import refuse_damaged
from hfneg.runs.folder.reopen import reopen_anchors
from hfneg.runs.folder.statistics import NEGATIVE
from hfneg.steps.block.block import Block

log = logging.getLogger(__name__)

Key = tuple[float, ...]

WITHOUT_CORPUS = (
    "The store no longer has the corpus, so the texts are those that the mined rows hold: of negatives and, where the "
    "rows give texts, of positives. Rejected candidates are named by their row."
)


class Documents(Protocol):
    """Id and text of rows of the corpus."""

    note: str

    def look_up(self, rows: list[int]) -> dict[int, tuple[str, str | None]]:
        """Row -> (id, text); the text is None where nobody has it."""
        ...


class CorpusDocuments:
    """All documents, by the corpus."""

    note = ""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus

    def look_up(self, rows: list[int]) -> dict[int, tuple[str, str | None]]:
        at = np.array(rows, dtype=np.int64)
        return dict(zip(rows, zip(self.corpus.ids(at), self.corpus.texts(at).to_pylist(), strict=True), strict=True))


@dataclass
class RowDocuments:
    """What is known without the corpus."""

    known: dict[int, tuple[str, str | None]] = field(default_factory=dict)
    note: str = WITHOUT_CORPUS

    def look_up(self, rows: list[int]) -> dict[int, tuple[str, str | None]]:
        return {row: self.known.get(row, (f"row {row}", None)) for row in rows}


def open_documents(ledger: MinedLedger, corpus: Any, chosen: ChosenAnchors, blocks: list[Block]) -> Documents:
    """The best there is; `corpus` is what `mine` was given, for a store that has lost it."""
    found = Corpus(ledger.summary["corpus"])
    try:
        _ = len(found)
    except StoreError as error:
        if isinstance(error, DamagedError):
            log.warning("%s", error)
        if corpus is None:
            return _from_rows(ledger, chosen, blocks)
        found = reopen_anchors(ledger, corpus).corpus
    return CorpusDocuments(found)


def _from_rows(ledger: MinedLedger, chosen: ChosenAnchors, blocks: list[Block]) -> RowDocuments:
    """A mined row lists its negatives in the sampler's order, the ledger by rank: they are matched by their scores, and
    left out where two have the same."""
    rows = _rows_of(ledger, {normal_form(text) for text in chosen.texts})
    texts = dict(zip(chosen.numbers.tolist(), chosen.texts, strict=True))
    negative = [code for code, name in ledger.verdict_names.items() if name in NEGATIVE]
    found = RowDocuments()
    for block in blocks:
        for i, number in enumerate(block.numbers.tolist()):
            row = rows.get(normal_form(texts[number]))
            if row is not None:
                found.known |= _negatives(block, i, row, negative) | _positives(block, i, row, ledger)
    return found


def _negatives(block: Block, i: int, row: dict[str, Any], codes: list[int]) -> dict[int, tuple[str, str | None]]:
    at = np.arange(block.indptr[i], block.indptr[i + 1])
    at = at[np.isin(block.verdicts[at], codes)]
    teacher = block.teacher_scores
    keys = [(float(block.scores[j]), *(() if teacher is None else (float(teacher[j]),))) for j in at]
    scores = (columns.NEGATIVE_SCORES, *(() if teacher is None else (columns.NEGATIVE_TEACHER_SCORES,)))
    own: list[Key] = list(zip(*(row[name] for name in scores), strict=True))
    documents = list(zip(row[columns.NEGATIVE_IDS], row[columns.NEGATIVES], strict=True))
    return _matched(block.rows[at].tolist(), keys, documents, own)


def _positives(block: Block, i: int, row: dict[str, Any], ledger: MinedLedger) -> dict[int, tuple[str, str | None]]:
    given = row[ledger.summary["columns"]["positive"]]
    values = [str(value) for value in given] if isinstance(given, list) else [str(given)]
    ids = ledger.summary.get("positives_are") == "id"
    documents: list[tuple[str, str | None]] = [(value, None) if ids else ("positive", value) for value in values]
    at = np.arange(block.positives.indptr[i], block.positives.indptr[i + 1])
    rows = block.positives.flat[at].tolist()
    if len(rows) == len(documents) == 1:
        return {rows[0]: documents[0]}
    keys: list[Key] = [(float(score),) for score in block.positive_scores[at, 0]]
    own: list[Key] = [(score,) for score in row[columns.POSITIVE_SCORES]]
    return _matched(rows, keys, documents, own) if len(own) == len(documents) else {}


def _matched(rows: list[int], keys: list[Key], documents: list[Any], own: list[Key]) -> dict[int, Any]:
    """Rows whose scores one document alone has."""
    by_key = {key: document for key, document in zip(own, documents, strict=True) if own.count(key) == 1}
    return {row: by_key[key] for row, key in zip(rows, keys, strict=True) if keys.count(key) == 1 and key in by_key}


def _rows_of(ledger: MinedLedger, wanted: set[str]) -> dict[str, dict[str, Any]]:
    """The first mined row of each of these anchors, by normal form."""
    anchor, positive = (ledger.summary["columns"][role] for role in ("anchor", "positive"))
    found: dict[str, dict[str, Any]] = {}
    for file, group in _row_groups(ledger):
        texts = file.read_row_group(group, columns=[anchor])[anchor].to_pylist()
        new = {form: i for i, text in reversed(list(enumerate(texts))) if (form := normal_form(text)) in wanted}
        new = {form: i for form, i in new.items() if form not in found}
        if new:
            names = [name for name in (positive, *columns.MINED) if name in file.schema_arrow.names]
            rows = file.read_row_group(group, columns=names).take(list(new.values())).to_pylist()
            found |= dict(zip(new, rows, strict=True))
    return found


def _row_groups(ledger: MinedLedger) -> Iterator[tuple[pq.ParquetFile, int]]:
    refuse_damaged(ledger.folder, "data/")
    for path in sorted((ledger.folder / "data").glob("*.parquet")):
        file = pq.ParquetFile(path)
        for group in range(file.num_row_groups):
            yield file, group
