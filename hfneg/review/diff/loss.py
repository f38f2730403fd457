"""The loss that hard negatives give a model, from scores that a ledger holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from hfneg.base.lists import Lists
from hfneg.pipeline.recipe_text import step_known_as
from hfneg.review.diff import result as difference
from hfneg.runs.folder.ledger_files import MinedLedger
from hfneg.runs.folder.statistics import means
from hfneg.steps.block.block import Block

Floats = npt.NDArray[np.floating]
Losses = npt.NDArray[np.float64]

SCALE = 20.0
"""Of MultipleNegativesRankingLoss, by default; a temperature of .05."""


def dense_sources(ledger: MinedLedger) -> dict[str, int]:
    """name -> column of `source_scores`, of the sources whose scores are those of a bi-encoder."""
    steps = (yaml.safe_load(ledger.summary["recipe"]) or {}).get("retrievers") or []
    kinds = {name: step_known_as(str(step).partition("(")[0]) for name, step in zip(ledger.names, steps, strict=False)}
    return {name: i for i, name in enumerate(kinds) if getattr(kinds[name], "bi_encoder", False)}


def losses(positives: Floats, negatives: Lists) -> Losses:
    """float64 [n]: log(1 + sum over negatives of exp(SCALE * (negative - positive))); NaN for an anchor without any.

    The InfoNCE loss (van den Oord, Li, Vinyals, 2018, eq. 4) of each anchor over its hard negatives alone, without
    those of the batch. `positives` is [n]; NaN gives NaN.
    """
    owners = negatives.owners
    exponents = SCALE * (np.asarray(negatives.flat, dtype=np.float64) - positives[owners])
    highest = np.zeros(len(negatives))
    np.maximum.at(highest, owners, exponents)
    sums = np.bincount(owners, np.exp(exponents - highest[owners]), minlength=len(negatives))
    found: Losses = highest + np.log(np.exp(-highest) + sums)
    return np.where(negatives.lengths > 0, found, np.nan)


class SourceScores:
    """What one source says of a block: n anchors, m candidates.

    Attributes:
        positives: float64 [n], the mean score of each anchor's known positives, as hardness has it; NaN where none has
            a score.
        found: float64 [m], NaN where the source has not found a candidate.
        lowest: float64 [n], the lowest score of each list; infinity for an empty one.
    """

    def __init__(self, block: Block, source: int) -> None:
        known = block.positive_scores[:, 1 + source].astype(np.float64)
        self.positives = means(known, block.positives.indptr)
        self.found = block.source_scores[:, source].astype(np.float64)
        self.lowest = np.full(len(block.numbers), np.inf)
        there = np.isfinite(self.found)
        np.minimum.at(self.lowest, block.owners[there], self.found[there])

    def losses(self, at: Lists) -> Losses:
        """float64 [n]: of the candidates at these positions, per anchor.

        A document that the source has not found (or position -1) counts with the lowest score of its list, above
        which it cannot be.
        """
        scores = np.append(self.found, np.nan)[at.flat]
        scores = np.where(np.isfinite(scores), scores, self.lowest[at.owners])
        return losses(self.positives, Lists(at.indptr, scores))


class MeanLosses:
    """Means over the anchors that have all three losses."""

    def __init__(self) -> None:
        self.anchors = 0
        self.sums = np.zeros(3)

    def add(self, *given: Any) -> None:
        """Three arrays of the same anchors."""
        values = np.array(given, dtype=np.float64)
        known = np.isfinite(values).all(axis=0)
        self.anchors += int(known.sum())
        self.sums += values[:, known].sum(axis=1)

    def finish(self) -> difference.Losses:
        """Their means."""
        before, after, new = (self.sums / self.anchors).round(6).tolist()
        return difference.Losses(before=before, after=after, new=new)
