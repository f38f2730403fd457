"""``hfneg examine``: it parses, calls the library, and prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hfneg.cli.common.app import MAKE, Lost, Mined, Quiet, Trust, Wait, command, out as console
from hfneg.cli.common.ending import AGAIN


def _again(options: dict[str, Any], began: float) -> str:
    return f"{AGAIN}: scores that are there already are not asked again"


@command(MAKE, again=_again)
def examine(
    mined: Mined,
    dropped: Annotated[
        bool, typer.Option("--dropped", metavar="", help="Also what other filters dropped before the teacher saw it.")
    ] = False,
    corpus: Lost = None,
    wait: Wait = False,
    trust: Trust = False,
    quiet: Quiet = False,
) -> None:
    """Have the teacher score the candidates that mining did not need, for hfneg select and calibrate.

    What was scored before is not asked again. The negatives stay as they are.

    Examples:

        hfneg examine mined

        hfneg examine mined --dropped
    """
    from hfneg.runs.examine import examine as run

    before = _asked(mined)
    after = run(mined, dropped=dropped, corpus=corpus, trust=trust, wait=wait)
    new = after["teacher"]["pairs_asked"] - before
    console.print(
        f"{new:,} pairs asked of the teacher; candidates not examined: {after['verdicts']['not_examined']:,}",
        highlight=False,
    )


def _asked(mined: Path) -> int:
    from hfneg.runs.folder.mined import open_summary

    return int(open_summary(mined).get("teacher", {}).get("pairs_asked", 0))
