"""``hfneg store size | prune | repair``: what the score store holds, and how to be rid of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from hfneg import store

out = Console()


def size() -> None:
    """The teachers whose scores are kept, with how many and how large."""
    from hfneg.stored import stored_teachers

    teachers = stored_teachers()
    table = Table(box=None, pad_edge=False)
    table.add_column("teacher (digest)", no_wrap=True)
    table.add_column("scores", justify="right")
    table.add_column("MB", justify="right")
    for teacher in teachers:
        table.add_row(teacher.digest, f"{teacher.scores:,}", f"{teacher.nbytes / 1e6:,.1f}")
    if teachers:
        out.print(table)
    total = sum(teacher.nbytes for teacher in teachers)
    _say(f"{_several(len(teachers), 'teacher')}, {total / 1e6:,.1f} MB, in {store.root()}")


def prune(digests: list[str] | None, days: float | None) -> None:
    """Delete scores: of the teachers named, of those without a new score for some days, or where both hold."""
    from hfneg.stored import prune as delete

    gone = delete(digests or None, older_than=None if days is None else timedelta(days=days))
    for teacher in gone:
        _say(f"deleted {teacher.scores:,} scores of {teacher.digest}")
    _say(f"{sum(teacher.nbytes for teacher in gone) / 1e6:,.1f} MB freed")


def repair() -> None:
    """Set damaged files of all teachers aside; their scores are computed again when they are next asked for."""
    from hfneg.scores import ScoreStore
    from hfneg.stored import stored_teachers

    aside = [path for teacher in stored_teachers() for path in ScoreStore(teacher.digest).repair()]
    for path in aside:
        _say(f"set aside: {path}")
    _say(_several(len(aside), "damaged file"))


def _several(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _say(line: str) -> None:
    out.print(line, highlight=False, markup=False, emoji=False, soft_wrap=True)


def register(app: typer.Typer, errors: Callable[[str], AbstractContextManager[None]]) -> None:
    """Make them commands of `app`, with its way to end on errors."""
    commands = typer.Typer(no_args_is_help=True, help="What teachers' scores are kept, and how to be rid of them.")

    @commands.command(name="size")
    def size_command() -> None:
        """List the teachers whose scores are kept.

        Examples:

            hfneg store size
        """
        with errors(""):
            size()

    @commands.command(name="prune")
    def prune_command(
        teachers: Annotated[
            list[str] | None, typer.Argument(metavar="DIGEST", help="Of teachers; hfneg store size lists them.")
        ] = None,
        older_than: Annotated[
            float | None,
            typer.Option(metavar="DAYS", min=0, help="Only teachers without a new score for so long."),
        ] = None,
    ) -> None:
        """Delete the scores of the teachers named, or of those not asked for some days; with both, both must hold.

        Examples:

            hfneg store prune --older-than 30
        """
        with errors(""):
            prune(teachers, older_than)

    @commands.command(name="repair")
    def repair_command() -> None:
        """Set damaged files aside; their scores are asked again when they are needed.

        Examples:

            hfneg store repair
        """
        with errors(""):
            repair()

    app.add_typer(commands, name="store")
