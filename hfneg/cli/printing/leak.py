"""What ``hfneg leak-rate`` prints."""

from __future__ import annotations

import math

from rich.console import Console
from rich.markup import escape

from hfneg.base.plain_text import several
from hfneg.review.intervals import Share
from hfneg.review.leak.leak import Leak, LeakRate


def report(console: Console, folder: str, found: LeakRate) -> None:
    """How many positives were hidden, how often they were mined, and what that means."""
    _say(console, f"{folder}: {several(found.positives, 'known positive')}, hidden one at a time from {found.policy}")
    if found.exact is None and found.bracket is None:
        _say(console, "leak rate, P(mined | relevant): there is no known positive to hide", "bold")
        return
    if found.exact is not None:
        _say(console, f"leak rate, P(mined | relevant): {_share(found.exact.leaked_of_all)}", "bold")
        _counts(console, found.exact)
    if found.bracket is not None:
        low, high = found.bracket
        of = " of those whose anchor has one" if found.exact is not None else ""
        ends = f"{low.leaked_of_all.value:.1%} and {high.leaked_of_all.value:.1%}"
        with_intervals = f"with their 95% intervals {low.leaked_of_all.low:.1%} to {high.leaked_of_all.high:.1%}"
        _say(console, f"leak rate, P(mined | relevant){of}: between {ends} ({with_intervals})", "bold")
        _counts(console, high)
    _say(console, found.note)


def _counts(console: Console, leak: Leak) -> None:
    _say(
        console,
        f"  {leak.leaked:,} mined of {leak.retrieved:,} retrieved of {leak.replicates:,} hidden "
        f"({several(leak.anchors, 'anchor')}, {several(leak.components, 'group')} that share no positive)",
    )
    _say(
        console,
        f"  retrieved {_share(leak.retrieved_share)}; mined of the retrieved {_share(leak.leaked_of_retrieved)}",
    )
    if leak.undecided:
        _say(console, f"  {leak.undecided:,} hang on teacher scores that are not there: they widen the intervals")


def _share(share: Share) -> str:
    if math.isnan(share.value):
        return "unknown"
    return f"{share.value:.1%} (95%: {share.low:.1%} to {share.high:.1%})"


def _say(console: Console, text: str, style: str | None = None) -> None:
    console.print(escape(text), style=style, highlight=False, emoji=False, soft_wrap=True)
