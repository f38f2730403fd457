"""What ``hfneg audit`` prints: what was found, worst first, with a few examples."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hfneg.review.audit.findings import AuditReport, Finding, Removed

STYLES = {"error": "red", "warning": "yellow", "info": "dim"}
ORDER = ("error", "warning", "info")
SHOWN = 3
WIDE = 90


def report(console: Console, found: AuditReport) -> None:
    """The whole report: counts, checks that found something, artefacts, false negatives, examples, the end."""
    _head(console, found)
    here = sorted((f for f in found.findings if f.count), key=lambda f: ORDER.index(f.severity))
    if here:
        console.print(_table(here))
    _artefacts(console, found)
    _truth(console, found)
    for finding in here:
        if finding.severity != "info":
            _examples(console, finding)
    if found.removed is not None:
        _removed(console, found.removed)
    _end(console, found)


def _head(console: Console, found: AuditReport) -> None:
    columns = ", ".join(f"{role} = {' + '.join(names[:3])}" for role, names in found.columns.items())
    _say(console, f"{found.dataset}: layout {found.layout} ({columns})", bold=True)
    per_row = list(found.negatives_per_row)
    several = f"{min(per_row)} to {max(per_row)}" if len(per_row) > 1 else f"{per_row[0]}"
    _say(
        console,
        f"{found.rows:,} rows, {found.anchors:,} anchors, {found.positives:,} positives, {found.negatives:,} "
        f"negatives ({several} a row)",
    )


def _table(here: list[Finding]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("check", no_wrap=True)
    table.add_column("found", justify="right")
    table.add_column("of", no_wrap=True)
    table.add_column("share", justify="right")
    table.add_column("a negative that / a row where", style="dim")
    for finding in here:
        count, share = f"{finding.count:,}", f"{finding.share:.2%}"
        table.add_row(finding.name, count, finding.unit, share, finding.meaning, style=STYLES[finding.severity])
    return table


def _artefacts(console: Console, found: AuditReport) -> None:
    for measure in found.measures:
        if measure.value is not None:
            text = f"{measure.name} {measure.value:.3f}: {measure.meaning}"
            _say(console, text, style=STYLES[measure.severity])


def _truth(console: Console, found: AuditReport) -> None:
    rate, hard = found.false_negatives, found.hardness
    if rate is not None:
        console.print(
            f"[bold]{rate.rate:.1%}[/bold] of the negatives are relevant (95%: {rate.low:.1%} to {rate.high:.1%}; "
            f"{rate.relevant:,} of {rate.negatives:,}, {rate.anchors:,} judged anchors)",
            highlight=False,
        )
    if hard is not None:
        what = "negatives that are not relevant" if hard.truth_known else "negatives, relevant or not"
        _say(
            console,
            f"hardness {hard.mean:+.3f} (95%: {hard.low:+.3f} to {hard.high:+.3f}): s(anchor, negative) - s(anchor, "
            f"positive) by {hard.reference}, over {hard.negatives:,} {what}",
        )


def _examples(console: Console, finding: Finding) -> None:
    _say(console, f"\n{finding.name}, for example:", style=STYLES[finding.severity])
    for example in finding.examples[:SHOWN]:
        text = " ".join(f"{example.anchor!r} -> {example.text!r}".split())
        _say(console, f"  row {example.row}: {text if len(text) <= WIDE else text[: WIDE - 3] + '...'}")


def _removed(console: Console, removed: Removed) -> None:
    counts = ", ".join(f"{name} {n:,}" for name, n in removed.negatives.items())
    rows = ", ".join(f"{name} {n:,}" for name, n in removed.rows.items())
    _say(
        console,
        f"\n{removed.path}: {removed.rows_after:,} of {removed.rows_before:,} rows, {removed.negatives_after:,} of "
        f"{removed.negatives_before:,} negatives",
        bold=True,
    )
    _say(console, f"  negatives removed: {counts or 'none'}\n  rows removed: {rows or 'none'}")


def _end(console: Console, found: AuditReport) -> None:
    if found.errors:
        fixable = found.removed is None and any(f.name in found.errors and f.fixable for f in found.findings)
        hint = "; --fix FILE.parquet writes a copy without them" if fixable else ""
        _say(console, f"\nerrors: {', '.join(found.errors)}{hint}", style="red")
    else:
        _say(console, "\nno errors", style="green")


def _say(console: Console, text: str, style: str | None = None, bold: bool = False) -> None:
    console.print(escape(text), style="bold" if bold else style, highlight=False, emoji=False, soft_wrap=True)
