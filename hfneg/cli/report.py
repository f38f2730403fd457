"""``hfneg report``: it parses, calls the library, and prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hfneg.cli.common.app import LOOK_BACK, Lost, Mined, Quiet, command, say


@command(LOOK_BACK, output="--overwrite, --out")
def report(
    mined: Mined,
    to: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="The page; else MINED-report.html beside it.", show_default=False),
    ] = None,
    sample: Annotated[int, typer.Option(metavar="N", help="Anchors that can be browsed, at most 2000.")] = 200,
    seed: Annotated[int, typer.Option(metavar="S", help="Another one draws other anchors.")] = 0,
    against: Annotated[
        Path | None, typer.Option(metavar="OTHER", help="An earlier round: what has changed since.", show_default=False)
    ] = None,
    corpus: Lost = None,
    open_: Annotated[bool, typer.Option("--open", metavar="", help="Open it in the browser.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", metavar="", help="Replace the file, whatever it is.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Write one HTML page about a mined folder: whether it is enough, what to do next, scores, hubs, anchors to browse.

    The page is a single file, and opens without a network.

    Examples:

        hfneg report mined

        hfneg report round-002 --against round-001 --out page.html

        hfneg report mined --sample 500 --seed 7 --open
    """
    from hfneg.review.report import report as run

    path = run(mined, to, sample=sample, seed=seed, against=against, corpus=corpus, overwrite=overwrite)
    line = f"{path} ({path.stat().st_size / 1e6:.1f} MB); open it in any browser"
    say(line)
    if open_:
        typer.launch(path.resolve().as_uri())
