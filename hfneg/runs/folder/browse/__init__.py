"""Single anchors of a mined folder, with what became of their candidates: what ``hfneg show`` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hfneg.base.arrays import Ints
from hfneg.base.hashing import normal_form
from hfneg.errors import InputError, SettingError, near_miss
from hfneg.runs.folder.browse import entries
from hfneg.runs.folder.browse.chosen import ChosenAnchors, choose
from hfneg.runs.folder.browse.said import Sayings
from hfneg.runs.folder.browse.texts import Documents, open_documents
from hfneg.runs.folder.ledger_files import MinedLedger
from hfneg.runs.folder.ledger_texts import anchor_texts
from hfneg.runs.folder.statistics import group_of
from hfneg.steps.block.block import Block

CHOSEN = ("selected", "relaxed", "filled", "given")
"""Verdicts on negatives."""

FEW = 4
"""Rejected candidates that are shown of an anchor, where none are asked for."""


@dataclass(frozen=True)
class Document:
    """A document of an anchor: a positive where `verdict` is "positive", else a candidate with its verdict.

    `text` is None where nobody has it any more; `rank` None for what no source has found; `said` is what a judge said.
    """

    id: str
    text: str | None
    verdict: str
    rank: int | None
    score: float | None
    teacher_score: float | None
    sources: tuple[str, ...] = ()
    said: str | None = None


@dataclass(frozen=True)
class ShownAnchor:
    """An anchor with its positives, best first, and candidates by rank: negatives, then the rejected.

    `left_out` candidates of these kinds are not among them.
    """

    text: str
    positives: tuple[Document, ...]
    candidates: tuple[Document, ...]
    left_out: int


@dataclass(frozen=True)
class Browsed:
    """The anchors, how many there were to choose from, and what is to be said of the texts (or "")."""

    anchors: tuple[ShownAnchor, ...]
    matches: int
    note: str


def browse(
    folder: str | Path, *, anchor: str | None = None, verdict: str | None = None, n: int = 5, corpus: Any = None
) -> Browsed:
    """Anchors of a mined folder: those whose text is `anchor` or else has it in it, else some drawn by their texts.

    With `verdict` the anchors that have a candidate of it, and those candidates alone; else the negatives and the first
    that were rejected. `corpus` is what `mine` was given, where the store no longer has it.

    Raises SettingError for a verdict that no candidate can have, InputError where no anchor is like that.
    """
    ledger = MinedLedger(folder)
    code = None if verdict is None else _code(ledger, verdict)
    chosen, matches = _chosen(ledger, anchor, code, n)
    if not matches:
        wanted = [f"whose text is or has {anchor!r}"] * (anchor is not None)
        wanted += [f"with a candidate {verdict!r}"] * (verdict is not None)
        raise InputError(f"{folder} has no anchor {' and '.join(wanted)}")
    blocks = [block.take(at) for block in ledger.blocks() if len(at := np.flatnonzero(_in(block, chosen.numbers)))]
    documents = open_documents(ledger, corpus, chosen, blocks)
    texts, sayings = dict(zip(chosen.numbers.tolist(), chosen.texts, strict=True)), Sayings(ledger)
    shown = tuple(
        _shown(block, i, texts[number], ledger, documents, code, sayings)
        for block in blocks
        for i, number in enumerate(block.numbers.tolist())
    )
    return Browsed(shown, matches, documents.note)


def _in(block: Block, numbers: Ints) -> Any:
    return np.isin(block.numbers, numbers)


def _code(ledger: MinedLedger, verdict: str) -> int:
    codes = {name: code for code, name in ledger.verdict_names.items()}
    counts = {name: count for name, count in ledger.summary["verdicts"].items() if count}
    if verdict not in codes:
        known = ", ".join(f"{name} ({count:,})" for name, count in counts.items())
        raise SettingError(f"there is no verdict {verdict!r}; the candidates have {known}.{near_miss(verdict, codes)}")
    return codes[verdict]


def _chosen(ledger: MinedLedger, anchor: str | None, code: int | None, n: int) -> tuple[ChosenAnchors, int]:
    """Up to n anchors, and how many there were."""
    if n < 1:
        raise SettingError(f"n={n}: expected how many anchors to show, 1 or more")
    if anchor is None and code is None:
        return choose(ledger, n, 0), len(ledger)
    numbers = None if anchor is None else _named(ledger, anchor)
    if code is not None:
        having = [block.numbers[np.unique(block.owners[block.verdicts == code])] for block in ledger.blocks()]
        found: Ints = np.concatenate([np.zeros(0, dtype=np.int64), *having])
        numbers = found if numbers is None else numbers[np.isin(numbers, found)]
    assert numbers is not None
    return ChosenAnchors(numbers[:n], _texts(ledger, numbers[:n])), len(numbers)


def _having(block: Block, code: int) -> Ints:
    """Numbers of the anchors with a candidate of this verdict."""
    found: Ints = block.numbers[np.unique(block.owners[block.verdicts == code])]
    return found


def _named(ledger: MinedLedger, wanted: str) -> Ints:
    """Numbers of the anchors with this normal form; where there are none, of those that have it in theirs."""
    form, equal, inside, first = normal_form(wanted), [], [], 0
    for some in anchor_texts(ledger):
        for i, text in enumerate(some.to_pylist(), first):
            own = normal_form(text)
            equal += [i] * (own == form)
            inside += [i] * (form in own)
        first += len(some)
    return np.array(equal or inside, dtype=np.int64)


def _texts(ledger: MinedLedger, numbers: Ints) -> list[str]:
    found, first = [], 0
    for some in anchor_texts(ledger):
        here = numbers[(numbers >= first) & (numbers < first + len(some))]
        found += [some[int(number) - first].as_py() for number in here]
        first += len(some)
    return found


def _shown(
    block: Block,
    i: int,
    text: str,
    ledger: MinedLedger,
    documents: Documents,
    code: int | None,
    sayings: Sayings,
) -> ShownAnchor:
    names = ledger.verdict_names
    span = np.arange(block.indptr[i], block.indptr[i + 1])
    if code is not None:
        found = span[block.verdicts[span] == code]
        kept = found[: entries.OTHERS]
    else:
        groups = np.array([group_of(names[int(own)]) for own in block.verdicts[span]], dtype=object)
        rejected = span[np.isin(groups, ["rejected", "promoted"])]
        found = np.sort(np.concatenate([span[groups == "negative"], rejected]))
        kept = np.concatenate([span[groups == "negative"], rejected[:FEW]])
    ranks = dict(zip(block.rows[span].tolist(), range(1, len(span) + 1), strict=True))
    positives = entries.positives(block, i, ranks)
    candidates = [entries.candidate(block, int(j), int(j) - int(span[0]) + 1) for j in kept]
    looked_up = documents.look_up(sorted({row[0] for row in (*positives, *candidates)}))
    return ShownAnchor(
        text,
        tuple(
            Document(*looked_up[row], "positive", rank, score, taught, (), sayings.of(text, looked_up[row][1]))
            for row, rank, score, taught in positives
        ),
        tuple(
            Document(
                *looked_up[row],
                names[own],
                rank,
                score,
                taught,
                _sources(ledger.names, places),
                sayings.of(text, looked_up[row][1]),
            )
            for row, own, rank, score, taught, places in candidates
        ),
        len(found) - len(kept),
    )


def _sources(names: Sequence[str], places: Sequence[int]) -> tuple[str, ...]:
    return tuple(name for name, place in zip(names, places, strict=False) if place)
