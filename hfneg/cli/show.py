"""``hfneg show``: it parses, calls the library, and prints."""

from __future__ import annotations

from typing import Annotated

import typer

from hfneg.cli.common.app import LOOK_BACK, Lost, Mined, Quiet, command, out


@command(LOOK_BACK)
def show(
    mined: Mined,
    anchor: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Of the anchor, or a part of it.", show_default=False)
    ] = None,
    verdict: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Candidates with this verdict alone: margin, hub, ...", show_default=False),
    ] = None,
    n: Annotated[int, typer.Option("-n", metavar="N", min=1, help="How many anchors.")] = 5,
    corpus: Lost = None,
    quiet: Quiet = False,
) -> None:
    """Show anchors of a mined folder: their positives, their negatives, and what was rejected, with the reason.

    Examples:

        hfneg show mined

        hfneg show mined --anchor "what is a fault"

        hfneg show mined --verdict near_positive -n 20
    """
    from hfneg.cli.printing import anchors
    from hfneg.runs.folder.browse import browse

    anchors.show(out, browse(mined, anchor=anchor, verdict=verdict, n=n, corpus=corpus))
