"""`diff`: two rounds over the same anchors - what became of the negatives, and whether another round is worth it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from hfneg.base.arrays import Ints, Mask
from hfneg.base.hashing import hash_normal_forms
from hfneg.base.lists import Lists, offsets
from hfneg.base.settings import is_number
from hfneg.data.corpus import Corpus
from hfneg.errors import EmptyInputError, InputError, SettingError, StoreError
from hfneg.review.diff import loss
from hfneg.review.diff.result import ABSENT, FATES, Diff, Moves, Side
from hfneg.runs.folder import statistics as statistics_of
from hfneg.runs.folder.histogram import Histogram
from hfneg.runs.folder.ledger_files import MinedLedger
from hfneg.runs.folder.ledger_texts import anchor_texts
from hfneg.runs.folder.statistics import Statistics
from hfneg.steps.block.block import Block
from hfneg.steps.block.verdicts import FIRST_FILTER, KNOWN_POSITIVE, PROMOTED

log = logging.getLogger(__name__)


BLOCK = 50_000
MINED = ("selected", "relaxed")
"""Negatives that a search has found; a random document that filled a row was never hard."""


def diff(a: str | Path, b: str | Path, *, settled: float = 0.9, short: float = 0.1) -> Diff:
    """Compare two mined folders: `a`, the earlier round, and `b`, the later.

    >>> print(hfneg.diff("round-001", "round-002").advice)  # doctest: +SKIP

    Anchors are matched by their texts (case, white space and Unicode form aside), documents by row where both rounds
    have the same corpus and else by text. About 16 bytes a negative of `a` are held, and 40 an anchor, 4 more
    per bi-encoder.

    Args:
        settled: stop where this share of the negatives stayed.
        short: where more than this share of the anchors of `b` has too few negatives, candidates ran out.

    Raises InputError: a folder that is not mined, no anchor in common, two corpora of which the store lacks one.
    SettingError: a share outside 0 .. 1.
    """
    for name, value in (("settled", settled), ("short", short)):
        if not (is_number(value) and 0 <= value <= 1):
            raise SettingError(f"diff({name}={value!r}): expected a share, 0 to 1")
    before, after = MinedLedger(a), MinedLedger(b)
    match = Match(before, after)
    reader = EarlierReader(before, match)
    earlier = _side(before, statistics_of.of(before, reader.add))
    tally = FateCount(after, match, reader.finish())
    later = _side(after, statistics_of.of(after, tally.add))
    result = tally.finish(earlier, later, _changed(before, after), {"settled": settled, "short": short})
    for note in result.notes:
        log.info("%s", note)
    return result


class Match:
    """Which anchors and documents of two rounds are the same.

    Attributes:
        numbers: int64 [anchors of the later round], the number in the earlier one; -1 where there is none.
        dense: name -> (column in the earlier round, in the later) of the sources that are bi-encoders in both.
    """

    def __init__(self, before: MinedLedger, after: MinedLedger) -> None:
        self.before, self.after = before, after
        old = _hashes(before)
        order = np.argsort(old, kind="stable")
        new = _hashes(after)
        at = np.minimum(np.searchsorted(old, new, sorter=order), len(old) - 1)
        self.numbers: Ints = np.where(old[order[at]] == new, order[at], -1)
        self.shared = int((self.numbers >= 0).sum())
        if not self.shared:
            raise EmptyInputError(
                f"{before.folder} and {after.folder} have no anchor in common; expected two rounds over the same pairs"
            )
        columns = [loss.dense_sources(ledger) for ledger in (before, after)]
        self.dense = {name: (column, columns[1][name]) for name, column in columns[0].items() if name in columns[1]}
        self._rows = self._rows_of_documents()

    def rows(self, rows: Ints) -> Ints:
        """Rows of the later corpus for rows of the earlier one; -1 where it lacks the document."""
        return rows if self._rows is None else self._rows[rows]

    def _rows_of_documents(self) -> Ints | None:
        """None where both have one corpus."""
        digests = [ledger.summary["corpus"] for ledger in (self.before, self.after)]
        if digests[0] == digests[1]:
            return None
        old, new = (self._open(ledger) for ledger in (self.before, self.after))
        found = np.empty(len(old), dtype=np.int64)
        for start in range(0, len(old), BLOCK):
            stop = min(start + BLOCK, len(old))
            found[start:stop] = new.rows_of_texts(old.text_slice(start, stop).to_pylist())
        return found

    def _open(self, ledger: MinedLedger) -> Corpus:
        corpus = Corpus(ledger.summary["corpus"])
        try:
            _ = len(corpus)
        except StoreError as error:
            raise InputError(
                f"{self.before.folder} and {self.after.folder} were mined from two corpora, and the store lacks that "
                f"of {ledger.folder} (digest {corpus.digest[:12]}), so that their documents cannot be matched by text: "
                "build it again (hfneg.Corpus.from_dataset(...)), or set HFNEG_STORE to the store that has it"
            ) from error
        return corpus


@dataclass(frozen=True)
class EarlierLists:
    """What is kept of the earlier round: its negatives, and how its known positives were ranked.

    Attributes:
        negatives: rows of the later corpus per anchor, -1 where it lacks the document.
        above: bool, aligned: whether the search put it above the best known positive.
        positive_ranks: int32 [anchors], of the best known positive; ABSENT where none was found.
        losses: float32 [anchors, sources], what the negatives give the earlier model.
    """

    negatives: Lists
    above: Mask
    positive_ranks: npt.NDArray[np.int32]
    losses: npt.NDArray[np.float32]

    def take(self, numbers: Ints) -> EarlierLists:
        """Of these anchors, in this order."""
        above = Lists(self.negatives.indptr, self.above).take(numbers).flat
        return EarlierLists(self.negatives.take(numbers), above, self.positive_ranks[numbers], self.losses[numbers])


class EarlierReader:
    """Makes `EarlierLists` of the blocks of a ledger, in order."""

    def __init__(self, ledger: MinedLedger, match: Match) -> None:
        self.ledger, self.match = ledger, match
        self.dtype = np.int32 if int(ledger.summary["documents"]) < 2**31 else np.int64
        self.sources = list(match.dense.values())
        self.parts: list[tuple[Any, ...]] = []

    def add(self, block: Block) -> None:
        """One more block."""
        chosen, best = _chosen(block, self.ledger, MINED), _best_positive(block)
        owners = block.owners[chosen]
        lengths = np.bincount(owners, minlength=len(block.numbers))
        rows = self.match.rows(block.rows[chosen]).astype(self.dtype)
        own = Lists(offsets(lengths), np.flatnonzero(chosen))
        losses = [loss.SourceScores(block, before).losses(own) for before, _ in self.sources]
        table = np.array(losses, dtype=np.float32).reshape(len(losses), len(best)).T
        self.parts.append((lengths, rows, block.ranks[chosen] < best[owners], best, table))

    def finish(self) -> EarlierLists:
        """All of it."""
        lengths, rows, above, best, losses = (np.concatenate(values) for values in zip(*self.parts, strict=True))
        return EarlierLists(Lists(offsets(lengths), rows), above, best, losses)


class FateCount:
    """Counts what became of the earlier negatives, over blocks of the later ledger."""

    def __init__(self, ledger: MinedLedger, match: Match, earlier: EarlierLists) -> None:
        self.ledger, self.match, self.earlier = ledger, match, earlier
        self.wanted = int(ledger.summary["wanted_per_anchor"])
        self.fates = dict.fromkeys(FATES, 0)
        self.rejected: dict[str, int] = {}
        self.new = self.short = self.crossed = self.above_before = 0
        self.moves = Moves()
        self.losses = {name: loss.MeanLosses() for name in match.dense}

    def add(self, block: Block) -> None:
        """One more block; its anchors that the earlier round has not are left out."""
        at = self.match.numbers[block.numbers]
        shared = np.flatnonzero(at >= 0)
        if len(shared):
            self._compare(block.take(shared), self.earlier.take(at[shared]))

    def _compare(self, block: Block, earlier: EarlierLists) -> None:
        """Of the same anchors in the same order."""
        best = _best_positive(block)
        owners, ranks = block.owners, block.ranks
        mined, chosen = (_chosen(block, self.ledger, names) for names in (MINED, statistics_of.NEGATIVE))
        found = np.bincount(owners[mined], minlength=len(block.numbers))
        self.short += int((found < self.wanted).sum())
        lowest = np.zeros(len(found), dtype=np.int64)
        np.maximum.at(lowest, owners[mined], ranks[mined])
        at = _places(block, earlier.negatives)
        stayed = self._count_fates(block, earlier.negatives, at, lowest)
        self.new += int(chosen.sum()) - stayed
        here = np.where(at >= 0, ranks[at], ABSENT)
        self.above_before += int(earlier.above.sum())
        self.crossed += int((earlier.above & (here > best[earlier.negatives.owners])).sum())
        self.moves.add(earlier.positive_ranks, best)
        carried, own = Lists(earlier.negatives.indptr, at), Lists(offsets(found), np.flatnonzero(mined))
        for i, (name, (_, source)) in enumerate(self.match.dense.items()):
            scores = loss.SourceScores(block, source)
            self.losses[name].add(earlier.losses[:, i], scores.losses(carried), scores.losses(own))

    def _count_fates(self, block: Block, negatives: Lists, at: Ints, lowest: Ints) -> int:
        """Each earlier negative has one fate, see `hfneg.review.diff.result.FATES`; returns how many stayed."""
        listed = at >= 0
        codes = block.verdicts[at[listed]].astype(np.int64)
        stayed = np.isin(codes, _codes(self.ledger, statistics_of.NEGATIVE))
        positive = (codes == KNOWN_POSITIVE) | (codes == PROMOTED)
        rest = ~stayed & ~positive
        open_ = rest & np.isin(codes, _codes(self.ledger, statistics_of.LEFT_OVER))
        below = block.ranks[at[listed]] > lowest[negatives.owners[listed]]
        gone = negatives.flat < 0
        for name, mask in (
            ("stayed", stayed),
            ("passed_over", open_ & ~below),
            ("below_all", open_ & below),
            ("not_found", ~listed & ~gone),
            ("rejected", rest & ~open_),
            ("positive", positive),
            ("not_in_corpus", gone),
        ):
            self.fates[name] += int(mask.sum())
        names = self.ledger.verdict_names
        for code, count in zip(*np.unique(codes[rest & ~open_], return_counts=True), strict=True):
            self.rejected[names[int(code)]] = self.rejected.get(names[int(code)], 0) + int(count)
        return int(stayed.sum())

    def finish(self, a: Side, b: Side, changed: list[str], limits: dict[str, float]) -> Diff:
        """What was counted."""
        return Diff(
            a=a,
            b=b,
            shared_anchors=self.match.shared,
            negatives=sum(self.fates.values()),
            fates=self.fates,
            rejected_by=self.rejected,
            new_negatives=self.new,
            above_positive=self.above_before,
            fell_below_positive=self.crossed,
            positives=self.moves,
            short_anchors=self.short,
            losses={name: means.finish() for name, means in self.losses.items() if means.anchors},
            changed=changed,
            limits=limits,
        )


def _hashes(ledger: MinedLedger) -> npt.NDArray[np.uint64]:
    """uint64 [anchors]: of the texts' normal forms, as `Anchors` tells anchors apart."""
    parts = [hash_normal_forms(texts.to_pylist()) for texts in anchor_texts(ledger)]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint64)


def _codes(ledger: MinedLedger, names: tuple[str, ...]) -> list[int]:
    return [code for code, name in ledger.verdict_names.items() if name in names and code < FIRST_FILTER]


def _chosen(block: Block, ledger: MinedLedger, names: tuple[str, ...]) -> Mask:
    return np.isin(block.verdicts, _codes(ledger, names))


def _best_positive(block: Block) -> npt.NDArray[np.int32]:
    """int32 [anchors]: the rank of the first known positive in each list; ABSENT where there is none."""
    best = np.full(len(block.numbers), ABSENT, dtype=np.int32)
    known = np.flatnonzero(block.verdicts == KNOWN_POSITIVE)
    np.minimum.at(best, block.owners[known], block.ranks[known].astype(np.int32))
    return best


def _places(block: Block, wanted: Lists) -> Ints:
    """int64: where each wanted document stands among its anchor's candidates; -1 where it does not."""
    wide = int(max(block.rows.max(initial=0), wanted.flat.max(initial=0))) + 1
    keys = block.owners * wide + block.rows
    order = np.argsort(keys, kind="stable")
    sought = np.where(wanted.flat >= 0, wanted.owners * wide + wanted.flat, -1)
    if not len(keys):
        return np.full(len(sought), -1, dtype=np.int64)
    at = np.minimum(np.searchsorted(keys, sought, sorter=order), len(keys) - 1)
    return np.where(keys[order[at]] == sought, order[at], -1)


def _side(ledger: MinedLedger, found: Statistics) -> Side:
    """The numbers of one round, over all its anchors."""
    hardness = {kind: value.of_all for kind, value in found.hardness.items()}
    return Side(
        name=ledger.folder.resolve().name,
        anchors=found.anchors,
        candidates=found.candidates,
        negatives=found.negatives,
        verdicts=found.verdicts,
        sources=list(ledger.names),
        teacher=ledger.summary.get("teacher", {}).get("digest"),
        hardness={kind: _middle(histogram) for kind, histogram in hardness.items() if histogram.count},
    )


def _middle(histogram: Histogram) -> float:
    return round(histogram.quantile(0.5), 6)


def _changed(before: MinedLedger, after: MinedLedger) -> list[str]:
    """Slots of the recipe, and the corpus, in which the rounds differ."""
    old, new = (yaml.safe_load(ledger.summary["recipe"]) or {} for ledger in (before, after))
    slots = [slot for slot in dict.fromkeys([*old, *new]) if old.get(slot) != new.get(slot)]
    return [*slots, *(["corpus"] if before.summary["corpus"] != after.summary["corpus"] else [])]
