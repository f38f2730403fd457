"""What there is to say about a mined folder in numbers, gathered from its ledger block by block.

Nothing here grows with the anchors but a counter per document (4 bytes), which ends as the list of hubs. So the card
and the report of a million anchors are made of a few kilobytes.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hfneg.base.files import checksums, part_files
from hfneg.base.files.checksums import Fault
from hfneg.runs.folder.histogram import Histogram
from hfneg.runs.folder.ledger_files import MinedLedger
from hfneg.steps.block import verdicts
from hfneg.steps.block.block import Block

log = logging.getLogger(__name__)

FORMAT = 2
FILE = "statistics.json"
HUBS = 50
"""So many documents are named as hubs."""

RANK_EDGES = (1, 2, 6, 11, 21, 51, 101, 201, 501, 1001)
"""Where the groups of ranks begin."""

NEGATIVE = ("selected", "relaxed", "filled", "given")
LEFT_OVER = ("spare", "not_examined")
GROUPS = ("positive", "negative", "rejected", "promoted", "left_over")

Floats = npt.NDArray[np.float64]


def group_of(verdict: str) -> str:
    """The group of `GROUPS` in which a candidate with this verdict is counted; a known positive stands for itself."""
    if verdict in NEGATIVE:
        return "negative"
    if verdict in LEFT_OVER:
        return "left_over"
    return {"known_positive": "positive", "promoted": "promoted"}.get(verdict, "rejected")


def rank_label(i: int) -> str:
    """The i-th group of ranks in words."""
    first, last = RANK_EDGES[i], RANK_EDGES[i + 1] - 1 if i + 1 < len(RANK_EDGES) else None
    if last is None:
        return f"over {first - 1:,}"
    return f"{first:,}" if first == last else f"{first:,} to {last:,}"


@dataclass(frozen=True)
class Hub:
    """A document that is a negative of many anchors."""

    row: int
    anchors: int


@dataclass
class HardnessCounts:
    """Score of a negative minus the mean score of its anchor's known positives, on one score's own scale.

    Missing are negatives that have no such score, or whose positives have none.
    """

    of_all: Histogram = field(default_factory=Histogram)
    by_source: dict[str, Histogram] = field(default_factory=dict)
    by_rank: dict[str, Histogram] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {
            "of_all": self.of_all.as_dict(),
            "by_source": {name: histogram.as_dict() for name, histogram in self.by_source.items()},
            "by_rank": {name: histogram.as_dict() for name, histogram in self.by_rank.items()},
        }

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> HardnessCounts:
        return cls(
            Histogram.from_dict(facts["of_all"]),
            {name: Histogram.from_dict(value) for name, value in facts["by_source"].items()},
            {name: Histogram.from_dict(value) for name, value in facts["by_rank"].items()},
        )


@dataclass(frozen=True)
class Statistics:
    """Aggregates of a mined folder.

    Attributes:
        anchors, candidates, negatives: how many.
        verdicts: candidates per verdict, in the order in which they are given.
        per_anchor: anchors with 0, 1, 2 ... negatives.
        examined: candidates with a teacher's score; None without a teacher.
        scores: score -> group -> values. Scores are ``"score"`` (what ranks), each source where there are several, and
            ``"teacher"``; groups are `GROUPS`. Of the teacher's score the candidates are those that were examined.
        hardness: the same scores -> how far the negatives are from the positives; a fused score says nothing of that.
        short: anchors for which too few survived, before `Relax` and `Fill`.
        short_verdicts: their candidates per verdict, most first: why they are short.
        used: how many documents are a negative of some anchor.
        hubs: documents that are negatives of the most anchors, the most used first.
    """

    anchors: int
    candidates: int
    negatives: int
    verdicts: dict[str, int]
    per_anchor: list[int]
    examined: int | None
    scores: dict[str, dict[str, Histogram]]
    hardness: dict[str, HardnessCounts]
    short: int
    short_verdicts: dict[str, int]
    used: int
    hubs: list[Hub]

    @property
    def lazy(self) -> bool:
        """Whether the teacher's scores are those of an examined prefix only."""
        return self.examined is not None and self.verdicts.get("not_examined", 0) > 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON; `from_dict` takes it back."""
        plain = {name: getattr(self, name) for name in _PLAIN}
        scores = {name: {group: h.as_dict() for group, h in of.items()} for name, of in self.scores.items()}
        hardness = {name: value.as_dict() for name, value in self.hardness.items()}
        return {**plain, "scores": scores, "hardness": hardness, "hubs": [asdict(hub) for hub in self.hubs]}

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Statistics:
        return cls(
            **{name: facts[name] for name in _PLAIN},
            scores={
                name: {group: Histogram.from_dict(h) for group, h in of.items()} for name, of in facts["scores"].items()
            },
            hardness={name: HardnessCounts.from_dict(value) for name, value in facts["hardness"].items()},
            hubs=[Hub(**hub) for hub in facts["hubs"]],
        )


_PLAIN = ("anchors", "candidates", "negatives", "verdicts", "per_anchor", "examined", "short", "short_verdicts", "used")


class Collector:
    """Gathers `Statistics` from blocks of a ledger, in any order."""

    def __init__(self, ledger: MinedLedger) -> None:
        self.names, self.verdict_names = ledger.names, ledger.verdict_names
        self.kinds = ("score", *(self.names if len(self.names) > 1 else ()), *(("teacher",) if ledger.taught else ()))
        self.scores: dict[str, dict[str, Histogram]] = {kind: {} for kind in self.kinds}
        fused = "score" if len(self.names) > 1 else None
        self.hardness = {kind: HardnessCounts() for kind in self.kinds if kind != fused}
        self.codes = np.zeros(256, dtype=np.int64)
        self.lengths = np.zeros(1, dtype=np.int64)
        self.wanted, self.short = int(ledger.summary["wanted_per_anchor"]), 0
        self.short_codes = np.zeros(256, dtype=np.int64)
        self.uses = np.zeros(int(ledger.summary["documents"]), dtype=np.int32)
        self.examined = 0 if ledger.taught else None
        self.groups = np.full(256, -1, dtype=np.int8)
        for code, name in self.verdict_names.items():
            self.groups[code] = GROUPS.index(group_of(name))

    def add(self, block: Block) -> None:
        """Count a block of anchors."""
        self.codes += np.bincount(block.verdicts, minlength=256)
        groups = self.groups[block.verdicts]
        chosen = np.flatnonzero(groups == GROUPS.index("negative"))
        owners = block.owners[chosen]
        self._count_lengths(np.bincount(owners, minlength=len(block.numbers)))
        self._count_short(block)
        np.add.at(self.uses, block.rows[chosen], 1)
        if block.teacher_scores is not None:
            self.examined += int((~np.isnan(block.teacher_scores)).sum())  # type: ignore[operator]
        for kind in self.kinds:
            values, known = self._values(block, kind)
            self._count_scores(kind, values, known, groups)
            if kind in self.hardness:
                positives = means(known, block.positives.indptr)
                self._count_hardness(kind, values[chosen] - positives[owners], block, chosen)

    def finish(self) -> Statistics:
        """What was gathered."""
        hubs = np.argsort(-self.uses, kind="stable")[:HUBS]
        reasons = np.argsort(-self.short_codes, kind="stable")[: np.count_nonzero(self.short_codes)].tolist()
        return Statistics(
            anchors=int(self.lengths.sum()),
            candidates=int(self.codes.sum()),
            negatives=int((self.lengths * np.arange(len(self.lengths))).sum()),
            verdicts={name: int(self.codes[code]) for code, name in sorted(self.verdict_names.items())},
            per_anchor=self.lengths.tolist(),
            short=self.short,
            short_verdicts={self.verdict_names[code]: int(self.short_codes[code]) for code in reasons},
            examined=self.examined,
            scores=self.scores,
            hardness=self.hardness,
            used=int((self.uses > 0).sum()),
            hubs=[Hub(int(row), int(self.uses[row])) for row in hubs if self.uses[row]],
        )

    def _values(self, block: Block, kind: str) -> tuple[Floats, Floats]:
        """A score of the candidates, and of the known positives."""
        if kind == "teacher":
            own, known = block.teacher_scores, block.positive_teacher_scores
        elif kind == "score":
            own, known = block.scores, block.positive_scores[:, 0]
        else:
            at = self.names.index(kind)
            own, known = block.source_scores[:, at], block.positive_scores[:, 1 + at]
        return np.asarray(own, dtype=np.float64), np.asarray(known, dtype=np.float64)

    def _count_lengths(self, lengths: npt.NDArray[np.int64]) -> None:
        counts = np.bincount(lengths, minlength=len(self.lengths))
        counts[: len(self.lengths)] += self.lengths
        self.lengths = counts

    def _count_short(self, block: Block) -> None:
        owners = block.owners
        survived = np.isin(block.verdicts, (verdicts.SELECTED, verdicts.GIVEN))
        short = np.bincount(owners[survived], minlength=len(block.numbers)) < self.wanted
        self.short += int(short.sum())
        self.short_codes += np.bincount(block.verdicts[short[owners]], minlength=256)

    def _count_scores(self, kind: str, values: Floats, known: Floats, groups: npt.NDArray[np.int8]) -> None:
        """A candidate that is a known positive is left out: it is counted among the positives."""
        for i, group in enumerate(GROUPS):
            these = known if group == "positive" else values[groups == i]
            if len(these):
                self.scores[kind].setdefault(group, Histogram()).add(these)

    def _count_hardness(self, kind: str, values: Floats, block: Block, chosen: npt.NDArray[np.int64]) -> None:
        hardness = self.hardness[kind]
        hardness.of_all.add(values)
        masks = block.sources[chosen].astype(np.int64)
        given = block.verdicts[chosen] == verdicts.GIVEN
        masks[given] = -1
        for mask in np.unique(masks).tolist():
            names = [source for i, source in enumerate(self.names) if mask >> i & 1]
            name = "given" if mask < 0 else "+".join(names) or "random"
            hardness.by_source.setdefault(name, Histogram()).add(values[masks == mask])
        groups = np.searchsorted(RANK_EDGES, block.ranks[chosen], "right") - 1
        groups[masks <= 0] = masks[masks <= 0] - 1  # not retrieved: it has no rank
        for group in np.unique(groups).tolist():
            name = rank_label(group) if group >= 0 else "random" if group == -1 else "given"
            hardness.by_rank.setdefault(name, Histogram()).add(values[groups == group])


def means(values: Floats, indptr: npt.NDArray[np.int64]) -> Floats:
    """float64 [lists]: the mean of each list's values that are not NaN; NaN where there is none."""
    known = ~np.isnan(values)
    owners = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))[known]
    sums = np.bincount(owners, weights=values[known], minlength=len(indptr) - 1)
    counts = np.bincount(owners, minlength=len(indptr) - 1)
    found: Floats = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
    return found


def of(ledger: MinedLedger, look: Callable[[Block], None] | None = None) -> Statistics:
    """The statistics of a mined folder: those that mining left in it, else gathered from its ledger.

    `look` is called with every block, for whoever wants to read something of the ledger in the same pass.
    """
    from datasets.utils import tqdm

    kept = _kept(ledger)
    if kept is not None and look is None:
        return kept
    collector = Collector(ledger)
    with tqdm(total=len(ledger), desc="Reading the ledger", unit=" anchors", unit_scale=True) as bar:
        for block in ledger.blocks():
            if kept is None:
                collector.add(block)
            if look is not None:
                look(block)
            bar.update(len(block.numbers))
    return kept or collector.finish()


def write(folder: str | Path) -> None:
    """Leave the statistics of a finished mined folder in it, as ``statistics.json``."""
    ledger = MinedLedger(folder)
    facts = {"format": FORMAT, "ledger": _ledger_of(ledger), **of(ledger).as_dict()}
    part_files.save_facts(ledger.folder / FILE, facts)


def leave(folder: Path) -> None:
    """`write`, where a run that was killed at its end has not come to it."""
    if part_files.load_facts(folder / FILE) is None:
        write(folder)


def _kept(ledger: MinedLedger) -> Statistics | None:
    """What lies in the folder, where it is whole, of this ledger and of this version."""
    try:
        facts = checksums.unsigned(json.loads((ledger.folder / FILE).read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError) as error:
        log.warning("%s; it is counted again", Fault(ledger.folder / FILE, str(error)))
        return None
    if (facts.get("format"), facts.get("ledger")) != (FORMAT, _ledger_of(ledger)):
        return None
    return Statistics.from_dict(facts)


def _ledger_of(ledger: MinedLedger) -> dict[str, Any]:
    """What tells one run's ledger from another's: what the run depended on, and the sizes of its files."""
    sizes = {path.name: path.stat().st_size for path in sorted((ledger.folder / "ledger").glob("*.parquet"))}
    return {"identity": ledger.summary.get("identity"), "files": sizes}
