"""Anchors of a mined folder as tables in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hfneg.base.plain_text import plain
from hfneg.runs.folder.browse import CHOSEN, Browsed, Document, ShownAnchor
from hfneg.steps.filters import meaning_of


def show(console: Console, found: Browsed) -> None:
    """One table an anchor."""
    if found.note:
        console.print(Text(found.note, style="yellow"))
    for anchor in found.anchors:
        console.print(table(anchor))
        if anchor.left_out:
            console.print(Text(f"and {anchor.left_out:,} more", style="dim"))
        console.print()
    console.print(Text(f"{len(found.anchors):,} of {found.matches:,} anchors", style="dim"))


def table(anchor: ShownAnchor) -> Table:
    """Positives, negatives, and what was rejected with the reason."""
    shown = Table(title=Text(plain(anchor.text)), title_justify="left", title_style="bold", expand=True)
    taught = any(each.teacher_score is not None for each in (*anchor.positives, *anchor.candidates))
    shown.add_column("", max_width=30)
    shown.add_column("document", ratio=1, no_wrap=True, overflow="ellipsis")
    shown.add_column("found by", no_wrap=True)
    shown.add_column("score", justify="right", no_wrap=True)
    if taught:
        shown.add_column("teacher", justify="right", no_wrap=True)
    for each in anchor.positives:
        _add(shown, each, "positive", "green", taught)
    for each in anchor.candidates:
        _add(shown, each, _what(each.verdict), None if each.verdict in CHOSEN else "red", taught)
    return shown


def _what(verdict: str) -> str:
    if verdict in CHOSEN:
        return "negative" if verdict == "selected" else f"negative, {verdict}"
    return f"{verdict}: {meaning_of(verdict)}"


def _add(shown: Table, each: Document, what: str, style: str | None, taught: bool) -> None:
    text = Text(each.id if each.text is None else plain(each.text))
    scores = [each.score, each.teacher_score] if taught else [each.score]
    cells = ["" if score is None else f"{score:.4g}" for score in scores]
    shown.add_row(Text(what), text, "+".join(each.sources), *cells, style=style)
    if each.said is not None:
        said = Text(f"judge: {plain(' '.join(each.said.split()))}", no_wrap=False, overflow="fold")
        shown.add_row(Text(""), said, style="dim")
