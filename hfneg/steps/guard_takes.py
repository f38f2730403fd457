"""Where the guard takes more than a few candidates for copies of a positive, it is said, with a pair to look at.

Most often they are copies. In a corpus of product variants, form letters or templates they may be just the negatives
that are wanted, and only who knows the texts can tell.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hfneg.data.anchors import Anchors
from hfneg.data.corpus import Corpus
from hfneg.data.near_duplicates import shingle_sets
from hfneg.steps.block import verdicts
from hfneg.steps.block.block import Block
from hfneg.steps.guard import Guard

log = logging.getLogger(__name__)

MUCH = 0.03
"""The share of the candidates (known positives not counted) from which on it is said."""
ENOUGH = 100
"""Candidates that a batch of `.map` must have for its share to say anything."""
SHOWN = 160
SETTINGS = {verdicts.NEAR_POSITIVE: "near_duplicate", verdicts.CONTAINED: "contained"}
WORDS = {
    "near_positive": "as near-duplicates of a positive",
    "contained": "because they contain a positive or lie inside one",
}

Took = dict[str, Any]
"""``verdict``, ``share``, ``setting``, ``value``, and a case: ``anchor``, ``positive``, ``candidate`` (texts, cut)."""


def in_a_run(ledger: Path, corpus: Corpus, guard: Guard, counts: Mapping[str, int]) -> list[Took]:
    """What the guard takes much of in a finished ledger (a folder of its files); `counts` are candidates by verdict."""
    total = sum(counts.values()) - counts[verdicts.FIXED[verdicts.KNOWN_POSITIVE]]
    found = []
    for code, setting in SETTINGS.items():
        share = counts[verdicts.FIXED[code]] / max(total, 1)
        case = next(_cases(ledger, code), None) if share > MUCH else None
        if case is not None:
            found.append(_took(code, share, getattr(guard, setting), corpus, *case))
    return found


def in_a_batch(anchors: Anchors, block: Block, guard: Guard) -> list[Took]:
    """The same of the candidates of a batch."""
    total = int((block.verdicts != verdicts.KNOWN_POSITIVE).sum())
    found = []
    for code, setting in SETTINGS.items():
        at = np.flatnonzero(block.verdicts == code)
        if total >= ENOUGH and len(at) > MUCH * total:
            owner = int(block.owners[at[0]])
            anchor = anchors.texts(block.numbers[owner : owner + 1])[0].as_py()
            case = (anchor, int(block.rows[at[0]]), block.positives[owner].tolist())
            found.append(_took(code, len(at) / total, getattr(guard, setting), anchors.corpus, *case))
    return found


def in_words(took: Took) -> str:
    """One sentence on how much it is and what can be done, and the case."""
    setting, value = took["setting"], took["value"]
    return (
        f"the guard took {took['share']:.1%} of the candidates {WORDS[took['verdict']]} ({setting}={value}). Where "
        "such documents are wanted as negatives (variants of a product, say), "
        f"guard=Guard({setting}=None) lets them through (--set guard.{setting}=null), a higher share some of them. "
        f"For example, of the anchor {took['anchor']!r} the positive is {took['positive']!r}, and it took "
        f"{took['candidate']!r}"
    )


def say(takes: Sequence[Took]) -> None:
    """A warning for each."""
    for took in takes:
        log.warning("%s", in_words(took))


def _cases(ledger: Path, code: int) -> Iterator[tuple[str, int, list[int]]]:
    """(anchor, row of a candidate with this verdict, rows of the known positives), in the ledger's order."""
    for path in sorted(ledger.glob("*.parquet")):
        columns = ["anchor", "positive_rows", "rows", "verdicts"]
        for batch in pq.ParquetFile(path).iter_batches(columns=columns, batch_size=1_000):
            lists = {name: batch.column(name) for name in columns}
            flat = pa.array(lists["verdicts"].flatten()).to_numpy()
            at = np.flatnonzero(flat == code)
            if len(at):
                ends = np.cumsum(lists["verdicts"].value_lengths().to_numpy())
                owner = int(np.searchsorted(ends, at[0], "right"))
                positives = lists["positive_rows"][owner].as_py()
                yield lists["anchor"][owner].as_py(), lists["rows"].flatten()[int(at[0])].as_py(), positives


def _took(code: int, share: float, value: Any, corpus: Corpus, anchor: str, row: int, positives: list[int]) -> Took:
    texts = corpus.texts([row, *positives]).to_pylist()
    sets = shingle_sets(texts)
    common = [len(np.intersect1d(sets[0], sets[i])) / min(len(sets[0]), len(sets[i])) for i in range(1, len(texts))]
    candidate, positive = _around_difference(texts[0], texts[1 + int(np.argmax(common))])
    return {
        "verdict": verdicts.FIXED[code],
        "share": round(share, 6),
        "setting": SETTINGS[code],
        "value": value,
        "anchor": _cut(anchor),
        "positive": positive,
        "candidate": candidate,
    }


def _around_difference(one: str, other: str) -> tuple[str, str]:
    """Both cut, from a little before the place where they begin to differ."""
    lines = [" ".join(text.split()) for text in (one, other)]
    same = next((i for i, (a, b) in enumerate(zip(*lines, strict=False)) if a != b), 0)
    start = max(0, same - SHOWN // 2)
    return _cut(lines[0], start), _cut(lines[1], start)


def _cut(text: str, start: int = 0) -> str:
    line = " ".join(text.split())
    part = line[start : start + SHOWN]
    return f"{'…' * (start > 0)}{part}{'…' * (start + SHOWN < len(line))}"
