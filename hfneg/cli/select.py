"""``hfneg select``: it parses, calls the library, and prints."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from hfneg.cli.common.app import MAKE, Lost, Mined, Overwrite, Quiet, Resume, Trust, Wait, command, out as console
from hfneg.cli.common.ending import goes_on


def _again(options: dict[str, Any], began: float) -> str:
    return goes_on(options["to"], overwrite=options["overwrite"])


@command(MAKE, output="--resume, --overwrite, --out", again=_again)
def select(
    mined: Mined,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="SETTING",
            help="Change the policy: sampler.n=5, filters=Margin(relative=0.1), filters.margin.relative=0.1, "
            "guard.near_duplicate=0.8. May be repeated.",
        ),
    ] = None,
    to: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="To write; load_dataset opens it.")] = Path(
        "selected"
    ),
    corpus: Lost = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    wait: Wait = False,
    trust: Trust = False,
    quiet: Quiet = False,
) -> None:
    """Choose negatives anew from the candidates of a mined folder. No model is loaded.

    Examples:

        hfneg select mined --set filters.margin.relative=0.1 --out stricter

        hfneg select mined --set "filters=RankWindow(skip=10)" --out other
    """
    from hfneg.cli import printing
    from hfneg.runs.reselect import reselect

    began = time.perf_counter()
    reselect(
        mined,
        out=to,
        settings=set_ or [],
        corpus=corpus,
        trust=trust,
        resume=resume,
        overwrite=overwrite,
        wait=wait,
    )
    printing.summary(console, to, time.perf_counter() - began)
