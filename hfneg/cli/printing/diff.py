"""What ``hfneg diff`` prints."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from hfneg.review.diff.result import DEPTHS, FATES, Diff


def diff(console: Console, found: Diff) -> None:
    """The fates of the earlier negatives, the two rounds side by side, and the advice with its rule."""
    console.print(
        f"{found.negatives:,} negatives of {found.a.name}, and what they are in {found.b.name} "
        f"({found.shared_anchors:,} anchors)",
        style="bold",
        highlight=False,
        markup=False,
    )
    console.print(_fates(found))
    console.print(_side_by_side(found))
    for note in found.notes:
        console.print(f"note: {note}", highlight=False, markup=False, style="yellow")
    console.print(f"\n{found.advice[0].upper()}{found.advice[1:]}.", style="bold", highlight=False, markup=False)
    console.print(f"The rule: {found.rule}.", style="dim", highlight=False, markup=False)


def _fates(found: Diff) -> Table:
    table = _table("negatives", "share", "what became of it")
    for name, meaning in FATES.items():
        if not found.fates[name]:
            continue
        names = ", ".join(f"{verdict} {count:,}" for verdict, count in found.rejected_by.items())
        words = f"{meaning} ({names})" if name == "rejected" else meaning
        table.add_row(f"{found.fates[name]:,}", f"{found.share(name):.1%}", words)
    return table


def _side_by_side(found: Diff) -> Table:
    table = _table("", "then", "now")
    moves, n = found.positives, max(found.positives.anchors, 1)
    table.add_row("negatives", f"{found.a.negatives:,}", f"{found.b.negatives:,}")
    table.add_row("candidates", f"{found.a.candidates:,}", f"{found.b.candidates:,}")
    for name in dict.fromkeys([*found.a.verdicts, *found.b.verdicts]):
        counts = [of.verdicts.get(name, 0) for of in (found.a, found.b)]
        if any(counts) and name != "selected":
            table.add_row(f"  {name}", *(f"{count:,}" for count in counts), style="dim")
    table.add_row("positive found", *(f"{count / n:.1%}" for count in moves.found))
    for depth in DEPTHS:
        table.add_row(f"  in the first {depth}", *(f"{count / n:.1%}" for count in moves.within[depth]), style="dim")
    table.add_row("its mean reciprocal rank", *(f"{value:.3f}" for value in moves.mrr))
    table.add_row("positives that moved up, down", "", f"{moves.up / n:.1%}, {moves.down / n:.1%}")
    for name, losses in found.losses.items():
        table.add_row(f"loss on then's negatives ({name})", f"{losses.before:.3f}", f"at most {losses.after:.3f}")
        table.add_row("  on now's", "", f"{losses.new:.3f}", style="dim")
    table.add_row(
        "negatives above the positive", f"{found.above_positive:,}", f"{found.fell_below_positive:,} fell below"
    )
    return table


def _table(*columns: str) -> Table:
    """The first two (or the numbers) to the right, the words to the left."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for i, name in enumerate(columns):
        words = name in ("", "what became of it")
        table.add_column(name, justify="left" if words else "right", no_wrap=not words or i == 0)
    return table
