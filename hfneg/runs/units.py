"""The units of a long run: encode parts, search parts of anchors, select parts of anchors.

Where a recipe says `deeper`, the policy examines the first search's lists, the anchors that are short are searched
again, all in one pass, and the choice comes last; where it has `Hubs`, each search is followed by a count.

A unit's result is a file renamed into place. Anchors are cut into parts of fixed size, so that the files
are the same whatever the number of workers; a unit of search may cover many parts, because a dense search
reads all vectors once per unit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hfneg.base import progress
from hfneg.base.arrays import Ints, Mask
from hfneg.base.files.part_files import load_arrays, save_array, save_arrays, whole
from hfneg.base.lists import Lists
from hfneg.pipeline.deeper import longer_lists
from hfneg.pipeline.mine import Mine
from hfneg.pipeline.search import SourceHits
from hfneg.runs.hub_counts import Cuts, tally
from hfneg.runs.work import ChosenParts
from hfneg.steps.block.block import Block
from hfneg.steps.scorer import TeacherScorer

PART = 4096
"""Anchors per part file."""


@dataclass(frozen=True)
class Span:
    """Consecutive parts of anchors, first .. last - 1."""

    first: int
    last: int


@dataclass(frozen=True)
class Parts:
    """The anchors of a run, cut into parts; or of each part those that `Examine` has found short."""

    anchors: int
    short: Path | None = None

    def __len__(self) -> int:
        return -(-self.anchors // PART)

    def numbers(self, part: int) -> Ints:
        if self.short is not None:
            numbers: Ints = load_arrays(self.short / f"{part:06d}.npz")["short"]
            return numbers
        return np.arange(part * PART, min((part + 1) * PART, self.anchors))

    def size(self, span: Span) -> int:
        if self.short is not None:
            return sum(len(self.numbers(part)) for part in range(span.first, span.last))
        return min(span.last * PART, self.anchors) - span.first * PART

    def missing(self, folder: Path, suffix: str) -> list[int]:
        """Parts without a whole file in the folder."""
        there = whole([folder / f"{part:06d}{suffix}" for part in range(len(self))])
        return [part for part in range(len(self)) if not there[part]]

    def spans(self, missing: list[int], anchors: int, workers: int) -> list[Span]:
        """Runs of missing parts, of no more than `anchors` (or one part), and shared out among the workers."""
        longest, size = -(-len(missing) // workers), 0
        spans: list[Span] = []
        for part in missing:
            own = self.size(Span(part, part + 1))
            size += own
            if spans and spans[-1].last == part and part - spans[-1].first < longest and size <= anchors:
                spans[-1] = Span(spans[-1].first, part + 1)
            else:
                spans.append(Span(part, part + 1))
                size = own
        return spans


@dataclass(frozen=True)
class Encode:
    """Work on one part of stored vectors (documents or queries)."""

    vectors: Any

    def __call__(self, part: int) -> None:
        with progress.by_texts():
            self.vectors.build_part(part)


@dataclass(frozen=True)
class SearchPart:
    """Work on a span of anchors: one source's lists, one file per part; with `k` a deeper search."""

    transform: Mine
    position: int
    folder: Path
    parts: Parts
    k: int | None = None

    def __call__(self, span: Span) -> None:
        numbers = [self.parts.numbers(part) for part in range(span.first, span.last)]
        together = np.concatenate(numbers)
        hits = self.transform.retrieve.search(self.position, together, self.k)
        positives = self.transform.anchors.positives(together)
        ends = np.cumsum([len(some) for some in numbers])
        for part, some, end in zip(range(span.first, span.last), numbers, ends.tolist(), strict=True):
            own = hits.take(positives, np.arange(end - len(some), end))
            arrays = {
                "indptr": own.lists.indptr,
                "rows": own.lists.flat,
                "scores": own.scores,
                "positive_scores": own.positive_scores,
            }
            save_arrays(self.folder / f"{part:06d}.npz", arrays)


def load_hits(path: Path) -> SourceHits:
    """One part of one source."""
    arrays = load_arrays(path)
    return SourceHits(Lists(arrays["indptr"], arrays["rows"]), arrays["scores"], arrays["positive_scores"])


@dataclass(frozen=True)
class Found:
    """What the search has left: each source's folder, and the cuts of hubs where they are asked for."""

    transform: Mine
    folders: tuple[Path, ...]
    cuts: Path | None = None

    def hits(self, part: int) -> list[SourceHits]:
        return [load_hits(folder / f"{part:06d}.npz") for folder in self.folders]

    def block(self, part: int) -> Block:
        """The first search's lists, fused."""
        numbers = Parts(len(self.transform.anchors)).numbers(part)
        block = self.transform.retrieve.fuse(numbers, self.hits(part))
        return block if self.cuts is None else replace(block, closed=self.closed(block))

    def closed(self, block: Block) -> Mask:
        """bool [m]: documents that are kept for other anchors."""
        assert self.cuts is not None
        return Cuts(self.cuts).closed(self.transform.anchors, block)


DECIDED = (
    "verdicts",
    "turns",
    "teacher_scores",
    "member_scores",
    "positive_teacher_scores",
    "positive_member_scores",
)
"""Arrays of a block that the policy gives it."""


@dataclass(frozen=True)
class Examine:
    """Work on one part of anchors: the policy over the first search's lists, and which anchors are short."""

    found: Found
    folder: Path

    def __call__(self, part: int) -> None:
        select = self.found.transform.select
        with _Calls(select.scorer) as calls:
            block = select.run(self.found.block(part))
        decided = {name: values for name in DECIDED if (values := getattr(block, name)) is not None}
        short = block.numbers[self.found.transform.short_anchors(block)]
        save_arrays(self.folder / f"{part:06d}.npz", {"short": short, "calls": calls.made, **decided})


@dataclass(frozen=True)
class Deeper:
    """What the deeper search has left, and what was decided before it."""

    first: Found
    examined: Path
    found: Found

    def block(self, part: int) -> tuple[Block, Ints]:
        """As `Examine` has left it, and the calls of the teacher that it took."""
        arrays = load_arrays(self.examined / f"{part:06d}.npz")
        decided = {name: arrays[name] for name in DECIDED if name in arrays}
        return replace(self.first.block(part), **decided), arrays["calls"]

    def longer(self, part: int) -> Block:
        """The lists of the short anchors with what the deeper search has found behind them."""
        block, _ = self.block(part)
        transform = self.first.transform
        short = block.take(transform.short_anchors(block))
        return longer_lists(transform.retrieve, short, self.found.hits(part))


@dataclass(frozen=True)
class CountHubs:
    """Work on one part of anchors: which documents are in its lists (in what a deeper search has added), for `Hubs`."""

    lists: Found | Deeper
    folder: Path

    def __call__(self, part: int) -> None:
        if isinstance(self.lists, Found):
            entries = tally(self.lists.transform.anchors, self.lists.block(part))
        else:
            longer = self.lists.longer(part)
            entries = tally(self.lists.first.transform.anchors, longer, longer.appended)
        save_array(self.folder / f"{part:06d}.npy", entries)


@dataclass(frozen=True)
class Choose:
    """Work on one part of anchors: fuse the sources' lists, apply the policy, write ledger and selection."""

    found: Found
    deeper: Deeper | None
    chosen: ChosenParts

    def missing(self, parts: Parts) -> list[int]:
        """Parts that lack a whole file of either."""
        chosen = self.chosen
        return sorted({*parts.missing(chosen.selected, ".npz"), *parts.missing(chosen.ledger, ".parquet")})

    def __call__(self, part: int) -> None:
        transform = self.found.transform
        scorer, before = transform.select.scorer, np.zeros(3, dtype=np.int64)
        with _Calls(scorer) as calls:
            if self.deeper is None:
                block = transform.select.run(self.found.block(part))
            else:
                block, before = self.deeper.block(part)
        with _Calls(scorer) as deepening:
            deepened, block = len(transform.short_anchors(block)), self._deepened(block, part)
        appended = int(block.appended.sum())
        with _Calls(scorer) as completing:
            short, block = len(transform.short_anchors(block)), transform.complete(block)
        shortfall = np.array([deepened, appended, *deepening.made[:2], short, *completing.made[:2]])
        made = calls.made + deepening.made + completing.made
        made[: len(before)] += before
        if self.deeper is not None and block.deeper_positive_scores is None:  # all parts have the same columns
            block = replace(block, deeper_positive_scores=np.full_like(block.positive_scores, np.nan))
        self.chosen.write(part, transform.anchors, transform.select.policy, block, shortfall, made)

    def _deepened(self, block: Block, part: int) -> Block:
        if self.deeper is None:
            return block
        close = None if self.deeper.found.cuts is None else self.deeper.found.closed
        return self.found.transform.deepen(block, self.deeper.found.hits(part), close)


class _Calls:
    """Pairs that were asked of the teacher, answered by the store, and spared, in a block of code."""

    def __init__(self, scorer: TeacherScorer | None) -> None:
        self._scorer = scorer
        self.made: Ints = np.zeros(3, dtype=np.int64)

    def __enter__(self) -> _Calls:
        self._before = self.made if self._scorer is None else self._scorer.calls
        return self

    def __exit__(self, *error: object) -> None:
        if self._scorer is not None:
            self.made = self._scorer.calls - self._before
