"""The picture of a calibration: false negatives against hardness over one setting, or over the strata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hfneg.base import store
from hfneg.errors import MissingExtraError, OutputError, SettingError
from hfneg.review.calibrate.findings import Calibration, Rate

SIZE, DOTS = (7.5, 4.5), 150
RATE, HARD, YIELD = "#b3372f", "#2a5d8f", "#6b6b6b"


def check(plot: str | Path) -> Path:
    """The file to write. Raises MissingExtraError, SettingError or OutputError before any work."""
    path = Path(plot)
    if path.suffix.lower() != ".png":
        raise SettingError(f"plot={str(plot)!r} must be a file with the suffix .png")
    if not path.parent.is_dir() or path.is_dir():
        raise OutputError(f"cannot write {path}: there is no folder {path.parent}, or it is a folder itself")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("a picture needs matplotlib: pip install 'hfneg[plots]'") from error
    return path


def write(path: Path, found: Calibration) -> None:
    """A PNG. Where a setting was varied: rate, hardness and yield of each value; else the rate of each stratum."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, dpi=DOTS, layout="constrained")
    FigureCanvasAgg(figure)
    if found.settings:
        _settings(figure, found)
    else:
        _strata(figure, found)
    store.replace_file(path, lambda partial: figure.savefig(partial, format="png"))


def _settings(figure: Any, found: Calibration) -> None:
    places = list(range(len(found.settings)))
    axes = figure.add_subplot()
    _rates(axes, places, [one.false_negatives for one in found.settings])
    axes.set_xticks(
        places, [f"{one.value:g}" if isinstance(one.value, float) else str(one.value) for one in found.settings]
    )
    axes.set_xlabel(f"{found.varied}  (below: negatives per anchor)")
    for place, one in zip(places, found.settings, strict=True):
        axes.annotate(
            f"{one.negatives_per_anchor:.1f}",
            (place, 0),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            color=YIELD,
            fontsize=8,
            xycoords=("data", "axes fraction"),
        )
    if found.chosen is not None:
        axes.axhline(found.chosen.target, color=RATE, linestyle=":", linewidth=1)
    hard = [
        (place, one.hardness) for place, one in zip(places, found.settings, strict=True) if one.hardness is not None
    ]
    if hard:
        other = axes.twinx()
        means = [one.mean for _, one in hard]
        ends = [[one.mean - one.low for _, one in hard], [one.high - one.mean for _, one in hard]]
        other.errorbar([place for place, _ in hard], means, yerr=ends, color=HARD, marker="s", capsize=2, linewidth=1)
        other.set_ylabel("hardness: s(negative) - s(positive) by the reference", color=HARD)


def _rates(axes: Any, places: list[int], rates: list[Rate]) -> None:
    confident = all(rate.confidence for rate in rates)
    for place, rate in zip(places, rates, strict=True):
        axes.vlines(place, rate.low, rate.high, color=RATE, linewidth=5, alpha=0.35)
    if confident:
        axes.plot(places, [rate.rate for rate in rates], color=RATE, marker="o", linewidth=1)
    axes.set_ylim(0, min(max([rate.high for rate in rates] + [0.02]) * 1.1, 1.0))
    kind = "95% interval" if confident else "sensitivity, not confidence"
    axes.set_ylabel(f"relevant among the mined ({kind})", color=RATE)


def _strata(figure: Any, found: Calibration) -> None:
    axes = figure.add_subplot()
    strata = found.false_negatives.strata
    if strata:
        shares = [one.relevant / one.judged if one.judged else float("nan") for one in strata]
        axes.bar(range(len(strata)), shares, color=RATE, alpha=0.5)
        axes.set_xticks(range(len(strata)), [f"{one.name}\n{one.judged} judged" for one in strata], fontsize=7)
        axes.set_ylabel("relevant among the judged")
        axes.set_title(repr(found), fontsize=8)
        return
    names = [f"moved up to {one.shift:g} sd down" for one in found.sensitivity] or ["all"]
    heights = [one.at_most for one in found.sensitivity] or [found.false_negatives.high]
    axes.bar(range(len(names)), heights, color=YIELD, alpha=0.5)
    axes.set_xticks(range(len(names)), names)
    axes.set_ylabel("relevant among the mined, at most")
    axes.set_title(repr(found), fontsize=8)
