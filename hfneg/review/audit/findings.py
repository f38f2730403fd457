"""What an audit found, as data."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from hfneg import __version__
from hfneg.errors import SettingError, near_miss
from hfneg.review.hardness import Hardness

Severity = Literal["error", "warning", "info"]
FALSE_NEGATIVES = "false_negatives"
SHOWN = 200  # letters of an example's texts


@dataclass(frozen=True)
class Example:
    """Where to look: the row (from 0), its anchor, and the text in question (a positive, where rows are counted)."""

    row: int
    anchor: str
    text: str


@dataclass(frozen=True)
class Finding:
    """One check: how many of `total` `unit` ("negatives" or "rows") it found, in how many `rows`.

    `severity` is that of the check, also where nothing was found; `fixable` says whether ``fix`` removes them.
    """

    name: str
    meaning: str
    severity: Severity
    unit: str
    count: int
    total: int
    rows: int
    fixable: bool
    examples: tuple[Example, ...] = ()

    @property
    def share(self) -> float:
        """Of the negatives, or of the rows."""
        return self.count / self.total if self.total else 0.0


@dataclass(frozen=True)
class Measure:
    """An artefact as one number; "warning" where it lies outside `band` and there is enough to judge."""

    name: str
    meaning: str
    severity: Severity
    value: float | None
    band: tuple[float, float]
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FalseNegatives:
    """P(relevant | mined): the share of the judged anchors' negatives that the judgments call relevant.

    `low`, `high`: 95%, see `hfneg.review.intervals.share`. Where judgments are incomplete the rate is a lower bound;
    `positives_found` is the share of the judged anchors' own positives that the judgments know.
    """

    rate: float
    low: float
    high: float
    relevant: int
    negatives: int
    anchors: int
    unjudged_anchors: int
    positives_found: float | None


@dataclass(frozen=True)
class Removed:
    """What ``fix`` took away, each negative and row counted once, under the first reason that applies."""

    path: str
    rows_before: int
    rows_after: int
    negatives_before: int
    negatives_after: int
    negatives: dict[str, int]
    rows: dict[str, int]


@dataclass(frozen=True)
class AuditReport:
    """The result of `hfneg.audit`.

    ``report["near_positive"].count`` is a check or a measure by name; `errors` names what should fail a build;
    `to_json` gives all of it.
    """

    dataset: str
    layout: str
    columns: dict[str, list[str]]
    rows: int
    anchors: int
    positives: int
    negatives: int
    negatives_per_row: dict[int, int]
    sources: dict[str, int]
    findings: tuple[Finding, ...]
    measures: tuple[Measure, ...]
    false_negatives: FalseNegatives | None = None
    hardness: Hardness | None = None
    removed: Removed | None = None
    max_rate: float = 0.0
    max_false_negatives: float | None = None

    def __getitem__(self, name: str) -> Any:
        known: dict[str, Finding | Measure] = {finding.name: finding for finding in self.findings}
        known |= {measure.name: measure for measure in self.measures}
        if name not in known:
            raise SettingError(f"no check is named {name!r}; there are {', '.join(known)}.{near_miss(name, known)}")
        return known[name]

    def __repr__(self) -> str:
        found = ", ".join(f"{f.name}: {f.count}" for f in self.findings if f.count) or "nothing found"
        return f"AuditReport({self.rows} rows, {self.negatives} negatives; {found})"

    @property
    def errors(self) -> list[str]:
        """Checks of severity "error" that found more than is tolerated."""
        return [f.name for f in self.findings if f.severity == "error" and f.count and self._too_many(f)]

    def _too_many(self, finding: Finding) -> bool:
        """A share above `max_rate`; of false negatives, where `max_false_negatives` is given, a rate above that."""
        rate, limit = self.false_negatives, self.max_false_negatives
        if finding.name == FALSE_NEGATIVES and rate is not None and limit is not None:
            return rate.rate > limit
        return finding.share > self.max_rate

    @property
    def warnings(self) -> list[str]:
        """Checks and measures of severity "warning" that found something."""
        found = [f.name for f in self.findings if f.severity == "warning" and f.count]
        return found + [m.name for m in self.measures if m.severity == "warning"]

    @property
    def ok(self) -> bool:
        """No errors."""
        return not self.errors

    def to_dict(self) -> dict[str, Any]:
        """Plain values; findings and measures are lists of objects with a "name"."""
        facts = asdict(self)
        facts["negatives_per_row"] = {str(n): count for n, count in self.negatives_per_row.items()}
        for given, finding in zip(facts["findings"], self.findings, strict=True):
            given["share"] = finding.share
        return {"hfneg": __version__, "ok": self.ok, "errors": self.errors, "warnings": self.warnings, **facts}

    def to_json(self) -> str:
        """One JSON object, on several lines."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2, allow_nan=False)
