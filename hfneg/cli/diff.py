"""``hfneg diff``: it parses, calls the library, and prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hfneg.cli.common.app import LOOK_BACK, Json, Quiet, command, out


@command(LOOK_BACK)
def diff(
    a: Annotated[Path, typer.Argument(metavar="A", help="The earlier round, a folder that hfneg mine wrote.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="The later round, over the same pairs.")],
    settled: Annotated[
        float, typer.Option(metavar="SHARE", help="Stop where this share of the negatives stayed.")
    ] = 0.9,
    short: Annotated[
        float, typer.Option(metavar="SHARE", help="Tolerated share of anchors with too few negatives.")
    ] = 0.1,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare two rounds: how many negatives stayed, how many became easy, and whether another round is worth it.

    Examples:

        hfneg diff round-001 round-002

        hfneg diff round-001 round-002 --settled 0.95 --json
    """
    from hfneg.cli.printing import diff as showing_diff
    from hfneg.review.diff.diff import diff as run

    found = run(a, b, settled=settled, short=short)
    if json:
        typer.echo(found.to_json())
    else:
        showing_diff.diff(out, found)
