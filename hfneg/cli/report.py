"""``hfneg show``, ``hfneg report`` and ``hfneg diff``: they parse, call the library, and print."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

out = Console()
HINT = "--overwrite, --out"

Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", metavar="", help="No progress bars and no log lines, only the result.")
]

Lost = Annotated[
    str | None,
    typer.Option(
        metavar="CORPUS",
        help="What was mined from, where the store no longer has it: a BEIR folder, a file, a Hub id.",
        show_default=False,
    ),
]


def report(
    mined: Annotated[Path, typer.Argument(metavar="MINED", help="A folder that hfneg mine wrote.")],
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
    out.print(line, highlight=False, markup=False, emoji=False, soft_wrap=True)
    if open_:
        typer.launch(path.resolve().as_uri())


def show(
    mined: Annotated[Path, typer.Argument(metavar="MINED", help="A folder that hfneg mine wrote.")],
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
    from hfneg.cli.printing import anchors as showing_anchors
    from hfneg.runs.folder.browse import browse

    showing_anchors.show(out, browse(mined, anchor=anchor, verdict=verdict, n=n, corpus=corpus))


def diff(
    a: Annotated[Path, typer.Argument(metavar="A", help="The earlier round, a folder that hfneg mine wrote.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="The later round, over the same pairs.")],
    settled: Annotated[
        float, typer.Option(metavar="SHARE", help="Stop where this share of the negatives stayed.")
    ] = 0.9,
    short: Annotated[
        float, typer.Option(metavar="SHARE", help="Tolerated share of anchors with too few negatives.")
    ] = 0.1,
    json: Annotated[bool, typer.Option("--json", metavar="", help="The result as JSON, and nothing else.")] = False,
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


def register(
    app: typer.Typer, speak: Callable[[bool], None], errors: Callable[[str], AbstractContextManager[None]]
) -> None:
    """Make them commands of `app`, with its way to log and to end on errors."""
    for function in (show, report, diff):
        app.command(name=function.__name__)(_spoken(function, speak, errors))


def _spoken(
    function: Callable[..., None],
    speak: Callable[[bool], None],
    errors: Callable[[str], AbstractContextManager[None]],
) -> Callable[..., None]:
    @functools.wraps(function)
    def command(**options: Any) -> None:
        with errors(HINT):
            speak(options["quiet"])
            function(**options)

    return command
