"""What ``hfneg calibrate`` prints: the rate and how it was found, its strata, the settings, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hfneg.review.calibrate.findings import Beside, Calibration, Chosen, Rate, Sample, Setting, Stratum
from hfneg.review.hardness import Hardness

WHAT = {
    "judged sample": "by a judged sample, stratified",
    "judged anchors": "by judged anchors: a relevance curve, cross-fitted, and its mean error on them",
    "no judgments": "nothing judged: a bound from scores alone",
}


def report(console: Console, found: Calibration) -> None:
    """Everything there is, the rate first."""
    _rate(console, found)
    if found.false_negatives.strata:
        console.print(_strata(found.false_negatives.strata, judged=True))
    if found.settings:
        console.print(_settings(found))
    if found.beside is not None:
        _beside(console, found.beside)
    if found.chosen is not None:
        _chosen(console, found, found.chosen)
    if found.sample is not None:
        _sample(console, found.sample)
    for warning in found.warnings:
        _say(console, f"warning: {warning}", style="yellow")


def _rate(console: Console, found: Calibration) -> None:
    rate = found.false_negatives
    _say(
        console,
        f"{found.folder}: {rate.negatives:,} negatives of {found.anchors:,} anchors "
        f"({found.negatives_per_anchor:.2f} each; {found.components:,} groups of anchors that share no positive)",
    )
    _say(console, f"false negatives, P(relevant | mined): {_of(rate)}", bold=True)
    _say(console, f"  {WHAT[rate.method]}{_counts(rate)}")
    for one in found.sensitivity:
        moved = "as labelled ones do" if not one.shift else f"up to {one.shift:g} standard deviations lower"
        _say(console, f"  at most {one.at_most:.1%} if unlabelled positives score {moved}")
    if found.leak is not None:
        _say(console, f"leak, P(mined | relevant), another question: {_leak(found.leak)}")
    if found.hardness is not None:
        _say(console, f"hardness {_hard(found.hardness)}, by {found.hardness.reference}, {_over(found.hardness)}")
    else:
        _say(console, "hardness not measured: give a model that is neither miner nor teacher (reference=, --reference)")


def _of(rate: Rate) -> str:
    if rate.rate is None:
        return f"up to {rate.high:.1%} (sensitivity, not confidence)"
    return f"{rate.rate:.1%} (95%: {rate.low:.1%} to {rate.high:.1%}, width {rate.high - rate.low:.1%}, of {rate.of})"


def _counts(rate: Rate) -> str:
    if not rate.judged:
        return ""
    units = f" in {rate.units:,} groups" if rate.method == "judged anchors" else ""
    return f"; {rate.relevant:,} of {rate.judged:,} judged pairs{units} are relevant"


def _leak(leak: Mapping[str, Any]) -> str:
    """One number with its interval, or a bracket."""
    parts = []
    if leak["exact"] is not None:
        share = leak["exact"]["leaked_of_all"]
        parts.append(
            f"{share['value']:.1%} (95%: {share['low']:.1%} to {share['high']:.1%}; "
            f"{leak['exact']['replicates']:,} hidden positives)"
        )
    if leak["bracket"] is not None:
        ends = [end["leaked_of_all"]["value"] for end in leak["bracket"]]
        parts.append(f"between {ends[0]:.1%} and {ends[1]:.1%} of {leak['bracket'][0]['replicates']:,} (a bracket)")
    return "; ".join(parts) or "no known positive to hide"


def _hard(hardness: Hardness) -> str:
    return f"{hardness.mean:+.3f} ({hardness.low:+.3f} to {hardness.high:+.3f})"


def _over(hardness: Hardness) -> str:
    known = "that are not relevant" if hardness.truth_known else "each counted by its chance of not being relevant"
    return f"over {hardness.negatives:,} negatives {known}"


def _strata(strata: tuple[Stratum, ...], judged: bool) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("stratum", no_wrap=True)
    for name in ("negatives", "judged", "relevant") if judged else ("negatives", "to judge"):
        table.add_column(name, justify="right")
    for one in strata:
        relevant = [f"{one.relevant:,}"] if judged else []
        table.add_row(one.name, f"{one.negatives:,}", f"{one.judged:,}", *relevant)
    return table


def _settings(found: Calibration) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), title_justify="left", title=f"\n{found.varied}")
    for name in ("value", "false", "95% low", "high", "leak", "each", "hardness", "rank"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found.settings:
        chosen = found.chosen is not None and found.chosen.value == one.value
        table.add_row(*_cells(one), style="bold" if chosen else None)
    return table


def _cells(one: Setting) -> list[str]:
    rate = one.false_negatives
    told = (
        ["", "", f"<= {rate.high:.1%}"] if rate.rate is None else [f"{n:.1%}" for n in (rate.rate, rate.low, rate.high)]
    )
    hard = "" if one.hardness is None else f"{one.hardness.mean:+.3f}"
    return [
        str(one.value),
        *told,
        _short_leak(one.leak),
        f"{one.negatives_per_anchor:.2f}",
        hard,
        f"{one.mean_rank:.1f}",
    ]


def _short_leak(leak: Mapping[str, Any] | None) -> str:
    if leak is None:
        return ""
    if leak["bracket"] is None:
        return f"{leak['exact']['leaked_of_all']['value']:.1%}" if leak["exact"] is not None else ""
    ends = [end["leaked_of_all"]["value"] for end in leak["bracket"]]
    return f"{ends[0]:.1%}-{ends[1]:.1%}"


def _beside(console: Console, beside: Beside) -> None:
    what = "is as hard" if not beside.place else f"is the nearest (these negatives are {beside.place} than any)"
    _say(
        console,
        f"that is {_times(beside.ratio)} times ({beside.low:.2f} to {_times(beside.high)}) the rate of skipping "
        f"{beside.skip:.0f} ranks ({beside.rate:.1%}), which {what}",
        bold=True,
    )


def _times(ratio: float | None) -> str:
    return "any number of" if ratio is None else f"{ratio:.2f}"


def _chosen(console: Console, found: Calibration, chosen: Chosen) -> None:
    if chosen.value is None or chosen.chosen_on is None:
        _say(console, f"no value of {found.varied} has an upper end below {chosen.target:g}", style="red")
        return
    reported = "too few judgments there" if chosen.reported is None else _of(chosen.reported)
    _say(console, f"chosen for {chosen.target:g}: {found.varied} = {chosen.value}", style="green")
    if chosen.in_order:
        _say(console, f"  its negatives: {reported}")
        _say(console, f"  with those of smaller skips, which are no purer: {_of(chosen.chosen_on)}")
    else:
        _say(console, f"  on the half of the anchors that chose it: {_of(chosen.chosen_on)}")
        _say(console, f"  on the other half, which did not: {reported}")
    _say(console, f"\n{chosen.recipe}")


def _sample(console: Console, sample: Sample) -> None:
    console.print(_strata(sample.strata, judged=False))
    have = f", {sample.judged:,} of them judged" if sample.judged else " to judge"
    _say(console, f"{sample.pairs:,} pairs{have} written to {sample.path}: fill in the column relevance (0 or 1)")


def _say(console: Console, text: str, style: str | None = None, bold: bool = False) -> None:
    console.print(escape(text), style="bold" if bold else style, highlight=False, emoji=False, soft_wrap=True)
