"""What a calibration found, as data."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from hfneg import __version__
from hfneg.review.hardness import Hardness

Method = Literal["judged sample", "judged anchors", "no judgments"]
THESE, LIKE_THESE = "these negatives", "anchors like these"
LEVEL_TEXT = {True: "95% interval", False: "sensitivity, not confidence"}


@dataclass(frozen=True)
class Stratum:
    """A part of the mined pairs by teacher score or rank: how many there are, were judged, and are relevant."""

    name: str
    negatives: int
    judged: int
    relevant: int


@dataclass(frozen=True)
class Rate:
    """P(relevant | mined) of one setting.

    Attributes:
        method: "judged sample" (stratified), "judged anchors" (a relevance curve, cross-fitted, and its mean error on
            the judged), or "no judgments".
        rate: None where nothing was judged: then there are ends only.
        low, high: a 95% interval where `confidence`; else 0 and the largest of `Calibration.sensitivity`.
        negatives: pairs mined, each anchor once; `judged` and `relevant` of them.
        units: what the interval takes as independent: judged pairs, or components of judged anchors.
        of: what the interval is of: "these negatives", or "anchors like these", of which the judged are a sample.
        strata: of a judged sample.
        trust: of judged anchors: how far the curve was used, 0 (not at all) to 1.
    """

    method: Method
    rate: float | None
    low: float
    high: float
    confidence: bool
    negatives: int
    judged: int = 0
    relevant: int = 0
    units: int = 0
    of: str = THESE
    strata: tuple[Stratum, ...] = ()
    trust: float | None = None


@dataclass(frozen=True)
class Sensitivity:
    """The rate is at most this, if unlabelled positives score like labelled ones up to that many deviations lower."""

    shift: float
    at_most: float


@dataclass(frozen=True)
class Setting:
    """The policy with one value of what was varied. `leak` is None where it was not measured.

    `mean_rank` is the negatives' mean retrieval rank: without a reference model the only sign of how hard they are.
    """

    value: Any
    false_negatives: Rate
    leak: dict[str, Any] | None
    negatives: int
    negatives_per_anchor: float
    mean_rank: float
    hardness: Hardness | None


@dataclass(frozen=True)
class Chosen:
    """The hardest setting whose upper end is below the target on one half of the components.

    `reported` is its rate on the other half, which had no part in the choice; None where that half has too few
    judgments. `value` is None where no setting qualifies.

    `in_order`: of skips, gone through from the largest; then `chosen_on` is what it and smaller skips take, and
    `reported` what it takes itself.
    """

    target: float
    value: Any
    chosen_on: Rate | None
    reported: Rate | None
    recipe: str | None
    in_order: bool = False


@dataclass(frozen=True)
class Beside:
    """A rate beside that of the skip whose negatives are as hard by the reference.

    Attributes:
        skip: ranks, between those that were tried; rate: that skip's.
        ratio, low, high: the folder's rate divided by it; the ends are of the two intervals' far ends, so that the
            ratio lies between them more often than in 95%. None where it has no end, or the skip's rate is 0.
        place: "harder" or "easier" where the folder's negatives are so than any skip's; then the nearest counts.
    """

    skip: float
    rate: float
    ratio: float | None
    low: float
    high: float | None
    place: str


@dataclass(frozen=True)
class Sample:
    """The file of pairs to be judged, of which so many are."""

    path: str
    pairs: int
    strata: tuple[Stratum, ...]
    judged: int = 0


@dataclass(frozen=True)
class Calibration:
    """The result of `hfneg.calibrate`; `warnings` say what to be careful with."""

    folder: str
    anchors: int
    components: int
    negatives_per_anchor: float
    false_negatives: Rate
    sensitivity: tuple[Sensitivity, ...]
    leak: dict[str, Any] | None
    hardness: Hardness | None
    varied: str | None = None
    settings: tuple[Setting, ...] = ()
    chosen: Chosen | None = None
    sample: Sample | None = None
    beside: Beside | None = None
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        found = self.false_negatives
        rate = "" if found.rate is None else f"{found.rate:.4f}, "
        return f"Calibration({rate}{found.low:.4f} to {found.high:.4f}, {found.method}, {LEVEL_TEXT[found.confidence]})"

    @property
    def in_words(self) -> str:
        """The rate in one line, as a card says it."""
        found = self.false_negatives
        if found.rate is None:
            return f"at most {found.high:.1%} ({LEVEL_TEXT[False]}; nothing was judged)"
        ends = f"{LEVEL_TEXT[found.confidence]} {found.low:.1%} to {found.high:.1%}"
        return f"{found.rate:.1%} ({ends}; {found.method}, {found.judged:,} judged)"

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        facts = asdict(self)
        width = self.false_negatives.high - self.false_negatives.low
        return {"hfneg": __version__, **facts, "width": width}

    def to_json(self) -> str:
        """One JSON object, on several lines."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2, allow_nan=False)
