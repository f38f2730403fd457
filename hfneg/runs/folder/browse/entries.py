"""The sampled anchors with what became of their candidates, as JSON for the page."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from hfneg.runs.folder.browse.chosen import ChosenAnchors
from hfneg.runs.folder.browse.said import Sayings
from hfneg.runs.folder.browse.texts import Documents
from hfneg.runs.folder.ledger_files import MinedLedger
from hfneg.runs.folder.statistics import group_of
from hfneg.steps.block.block import Block

POSITIVES, NEGATIVES, OTHERS = 10, 20, 20
"""So many positives, negatives and rejected candidates of an anchor are shown at most; all are counted."""

LENGTHS = (1200, 600, 300, 150, 80)
"""Texts are cut to the first of these lengths (in characters) with which the sample is small enough."""

LIMIT = 8_000_000
"""Bytes of the sample."""


def entry(block: Block, i: int, text: str, ledger: MinedLedger, wanted: int) -> dict[str, Any]:
    """One anchor: its positives and candidates as short lists, see report.js for their order."""
    names = ledger.verdict_names
    span = np.arange(block.indptr[i], block.indptr[i + 1])
    groups = np.array([group_of(names[int(code)]) for code in block.verdicts[span]], dtype=object)
    negatives, rejected = span[groups == "negative"], span[np.isin(groups, ["rejected", "promoted"])]
    codes, counts = np.unique(block.verdicts[span], return_counts=True)
    ranks = dict(zip(block.rows[span].tolist(), range(1, len(span) + 1), strict=True))
    shown = sorted([*negatives[:NEGATIVES].tolist(), *rejected[:OTHERS].tolist()])
    return {
        "text": text,
        "short": len(negatives) < wanted,
        "negatives": len(negatives),
        "counts": [[int(code), int(count)] for code, count in zip(codes, counts, strict=True)],
        "positives": positives(block, i, ranks),
        "candidates": [candidate(block, j, j - int(span[0]) + 1) for j in shown],
        "left_out": [
            max(int(block.positives.lengths[i]) - POSITIVES, 0),
            max(len(negatives) - NEGATIVES, 0) + max(len(rejected) - OTHERS, 0),
        ],
    }


def positives(block: Block, i: int, ranks: dict[int, int]) -> list[list[Any]]:
    """[document, rank in the list or null, score, teacher's score] of the best known positives."""
    at = np.arange(block.positives.indptr[i], block.positives.indptr[i + 1])
    rows, scores = block.positives.flat[at], block.positive_scores[at, 0]
    taught = block.positive_teacher_scores
    order = np.lexsort((rows, -np.nan_to_num(scores, nan=-np.inf)))[:POSITIVES]
    return [
        [
            int(rows[j]),
            ranks.get(int(rows[j])),
            _rounded(scores[j]),
            None if taught is None else _rounded(taught[at[j]]),
        ]
        for j in order.tolist()
    ]


def candidate(block: Block, j: int, rank: int) -> list[Any]:
    """[document, verdict, rank, score, teacher's score, each source's rank]."""
    taught = None if block.teacher_scores is None else _rounded(block.teacher_scores[j])
    return [
        int(block.rows[j]),
        int(block.verdicts[j]),
        rank if block.sources[j] else None,
        _rounded(block.scores[j]) if block.sources[j] else None,
        taught,
        [int(place) for place in block.source_ranks[j]] if block.sources[j] else [],
    ]


def _rounded(value: Any) -> float | None:
    """Four digits are what a person reads; null for NaN."""
    return None if math.isnan(value) else float(f"{float(value):.4g}")


def sample(
    ledger: MinedLedger, chosen: ChosenAnchors, blocks: list[Block], documents: Documents
) -> tuple[dict[str, Any], int]:
    """What the page needs of the sampled anchors, no larger than LIMIT, and the length to which texts were cut."""
    wanted, sayings = int(ledger.summary["wanted_per_anchor"]), Sayings(ledger)
    texts = dict(zip(chosen.numbers.tolist(), chosen.texts, strict=True))
    entries = [
        entry(block, i, texts[number], ledger, wanted)
        for block in blocks
        for i, number in enumerate(block.numbers.tolist())
    ]
    while True:
        rows = sorted({row[0] for of in entries for row in (*of["positives"], *of["candidates"])})
        found = documents.look_up(rows)
        for of in entries:
            of["said"] = _said(of, found, sayings)
        for length in LENGTHS:
            facts = {"entries": _cut_anchors(entries, length), "documents": _cut(rows, found, length)}
            if len(as_json(facts).encode()) <= LIMIT or (len(entries) == 1 and length == LENGTHS[-1]):
                return facts, length
        entries = entries[: max(len(entries) // 2, 1)]


def _said(of: dict[str, Any], found: dict[int, tuple[str, str | None]], sayings: Sayings) -> dict[str, str]:
    """Row -> what a judge said of the document."""
    rows = {row[0] for row in (*of["positives"], *of["candidates"])}
    said = {str(row): sayings.of(of["text"], found[row][1]) for row in sorted(rows)}
    return {row: words for row, words in said.items() if words is not None}


def _cut(rows: list[int], found: dict[int, tuple[str, str | None]], length: int) -> dict[str, list[Any]]:
    """Row -> [id, text, how many characters were left out]."""
    return {
        str(row): [
            name[:200],
            None if text is None else text[:length],
            0 if text is None else max(len(text) - length, 0),
        ]
        for row, (name, text) in ((row, found[row]) for row in rows)
    }


def _cut_anchors(entries: list[dict[str, Any]], length: int) -> list[dict[str, Any]]:
    return [{**of, "text": of["text"][:length], "cut": max(len(of["text"]) - length, 0)} for of in entries]


def as_json(value: Any) -> str:
    """JSON that is safe inside a script element: nothing in it can end the element or begin a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
