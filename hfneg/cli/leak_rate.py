"""``hfneg leak-rate``: it parses, calls the library, and prints."""

from __future__ import annotations

from typing import Annotated

import typer

from hfneg.cli.common.app import LOOK_BACK, Json, Lost, Mined, Quiet, Trust, command, option, out as console


@command(LOOK_BACK, name="leak-rate")
def leak_rate(
    mined: Mined,
    set_: Annotated[
        list[str] | None,
        option(
            "SETTING",
            "Of another policy: sampler.n=5, filters=Margin(relative=0.1), guard.near_duplicate=0.8. May be repeated.",
            name="--set",
        ),
    ] = None,
    corpus: Lost = None,
    seed: Annotated[
        int, typer.Option(metavar="N", help="Draws the sample, where there are very many known positives.")
    ] = 0,
    trust: Trust = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """How often the policy mines a known positive that is hidden from it, with a 95% interval. No model is loaded.

    It is not the share of the negatives that are false: that is what hfneg calibrate measures.

    Examples:

        hfneg leak-rate mined

        hfneg leak-rate mined --set filters.margin.relative=0.1 --json
    """
    from hfneg.cli.printing import leak
    from hfneg.review.leak.leak import leak_rate as run

    found = run(mined, settings=set_ or [], corpus=corpus, trust=trust, seed=seed)
    if json:
        typer.echo(found.to_json())
    else:
        leak.report(console, str(mined), found)
