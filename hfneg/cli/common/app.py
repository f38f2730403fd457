"""The app, and what every command of it shares: its way to log and to end, its panels, and the usual options."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler

from hfneg import __version__
from hfneg.base.scrubbing import scrubbed_line
from hfneg.cli.common import recipe_options, verbose
from hfneg.cli.common.ending import AGAIN, endings, err

MAKE, LOOK_BACK, SHARE = "Make", "Look back", "Share"

app = typer.Typer(
    cls=recipe_options.Commands,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 2 unusable input, 3 unusable output, 4 the work failed, 130 stopped by Ctrl-C (129 by "
    "SIGHUP, 143 by SIGTERM).",
)
out = Console()


def option(metavar: str, help: str, panel: str | None = None, name: str | None = None) -> Any:
    """An option with a value; its default is not shown."""
    names = (name,) if name else ()
    return typer.Option(*names, metavar=metavar, rich_help_panel=panel, help=help, show_default=False)


def switch(name: str, help: str, panel: str | None = None) -> Any:
    """An option without a value."""
    return typer.Option(f"--{name}", metavar="", rich_help_panel=panel, help=help)


Mined = Annotated[Path, typer.Argument(metavar="MINED", help="A folder that hfneg mine wrote.")]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", metavar="", help="No progress bars and no log lines, only the result.")
]
Json = Annotated[bool, switch("json", "The result as JSON, and nothing else.")]
Resume = Annotated[bool, switch("resume", "Go on with a run that was cut off.")]
Overwrite = Annotated[bool, switch("overwrite", "Replace an earlier run in --out.")]
Wait = Annotated[bool, switch("wait", "For the end of another process that works in the folder.")]
Trust = Annotated[bool, switch("trust", "Load components that the recipe imports.")]
Lost = Annotated[
    str | None,
    option("CORPUS", "What was mined from, where the store no longer has it: a BEIR folder, a file, a Hub id."),
]


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"hfneg {__version__}", highlight=False)
        raise typer.Exit()


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", metavar="", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Hard negatives for retrievers and embedding models.

    First [b]hfneg mine[/b] a folder of negatives, then [b]hfneg export[/b] it for a trainer.
    """


def command(
    panel: str | None = None,
    *,
    output: str = "",
    again: Callable[[dict[str, Any], float], str] = lambda options, began: AGAIN,
    hushed_by: tuple[str, ...] = ("quiet",),
    of: typer.Typer = app,
    name: str | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make the function under it a command, that logs and ends as all do.

    Args:
        panel: of the list of commands: MAKE, LOOK_BACK or SHARE.
        output: the options with which an output that is there already can be dealt with, for its error.
        again: from the options and the time of the start: how to go on where the command was stopped.
        hushed_by: options that mean no log lines and no bars; one that has none of them leaves logging as it is.
        of: a group of commands, instead of hfneg's own.
        name: else the function's.
    """

    def made(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(**options: Any) -> None:
            began = time.time()
            with endings(output, lambda: again(options, began)):
                if said := [options[name] for name in hushed_by if name in options]:
                    _speak(quiet=any(said))
                function(**options)

        of.command(name, rich_help_panel=panel)(run)
        return function

    return made


def say(line: str) -> None:
    """A line of the result, as it is."""
    out.print(line, highlight=False, markup=False, emoji=False, soft_wrap=True)


def _speak(*, quiet: bool) -> None:
    """Log lines and progress bars on stderr, or neither."""
    log = logging.getLogger("hfneg")
    log.setLevel(logging.DEBUG if verbose.wanted() else logging.ERROR if quiet else logging.INFO)
    if not log.handlers:
        handler = RichHandler(console=err, show_path=False, show_time=False, show_level=False)
        handler.addFilter(scrubbed_line)
        log.addHandler(handler)
    if quiet:
        import datasets

        datasets.disable_progress_bars()
