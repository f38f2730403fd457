"""``hfneg select`` and ``hfneg examine``: they parse, call the library, and print."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from hfneg.cli.ending import AGAIN, goes_on

console = Console()

Mined = Annotated[Path, typer.Argument(metavar="MINED", help="A folder that hfneg mine wrote.")]
Corpus = Annotated[
    str | None,
    typer.Option(metavar="CORPUS", help="What was mined from, where the store no longer has it.", show_default=False),
]
Trust = Annotated[bool, typer.Option("--trust", metavar="", help="Load components that the recipe imports.")]
Wait = Annotated[
    bool, typer.Option("--wait", metavar="", help="For the end of another process that works in the folder.")
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", metavar="", help="No progress bars and no log lines, only the result.")
]


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
    corpus: Corpus = None,
    resume: Annotated[bool, typer.Option("--resume", metavar="", help="Go on with a run that was cut off.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", metavar="", help="Replace an earlier run in --out.")
    ] = False,
    wait: Wait = False,
    trust: Trust = False,
    quiet: Quiet = False,
) -> None:
    """Choose negatives anew from the candidates of a mined folder. No model is loaded.

    Examples:

        hfneg select mined --set filters.margin.relative=0.1 --out stricter

        hfneg select mined --set "filters=RankWindow(skip=10)" --out other
    """
    from hfneg.cli import printing as showing
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
    showing.summary(console, to, time.perf_counter() - began)


def examine(
    mined: Mined,
    dropped: Annotated[
        bool, typer.Option("--dropped", metavar="", help="Also what other filters dropped before the teacher saw it.")
    ] = False,
    corpus: Corpus = None,
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


def register(
    app: typer.Typer, speak: Callable[[bool], None], errors: Callable[..., AbstractContextManager[None]]
) -> None:
    """Add the two commands; errors become exit codes."""
    app.command()(_guarded(select, "--resume, --overwrite, --out", speak, errors, _select_goes_on))
    app.command()(_guarded(examine, "", speak, errors, _examine_goes_on))


def _select_goes_on(options: dict[str, Any]) -> str:
    return goes_on(options["to"], overwrite=options["overwrite"])


def _examine_goes_on(options: dict[str, Any]) -> str:
    return f"{AGAIN}: scores that are there already are not asked again"


def _guarded(
    command: Callable[..., None], output: str, speak: Any, errors: Any, again: Callable[[dict[str, Any]], str]
) -> Callable[..., None]:
    """The command with its way to log and to end on errors."""

    @functools.wraps(command)
    def run(**options: Any) -> None:
        with errors(output, lambda: again(options)):
            speak(options["quiet"])
            command(**options)

    return run
