"""``hfneg store size | prune | clear | verify | repair``: what the store holds, and how to be rid of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from hfneg import store
from hfneg.errors import DamagedError

out = Console()


def size() -> None:
    """What is kept of each kind, and the teachers whose scores are, with how many and how large."""
    from hfneg.artefacts import stored_kinds
    from hfneg.stored import stored_teachers

    kinds, teachers = stored_kinds(), stored_teachers()
    _table("kind", "artefacts", kinds)
    _table("teacher (digest)", "scores", teachers)
    total = sum(kind.nbytes for kind in kinds)
    _say(f"{_several(len(teachers), 'teacher')}, {total / 1e6:,.1f} MB in all, in {store.root()}")


def _table(name: str, count: str, rows: Sequence[tuple[str, int, int]]) -> None:
    """What, how many, how large; nothing where there is nothing."""
    table = Table(box=None, pad_edge=False)
    table.add_column(name, no_wrap=True)
    table.add_column(count, justify="right")
    table.add_column("MB", justify="right")
    for what, number, nbytes in rows:
        table.add_row(what, f"{number:,}", f"{nbytes / 1e6:,.1f}")
    if rows:
        out.print(table)
        out.print()


def clear(kinds: list[str] | None, days: float | None) -> None:
    """Delete what can be made again."""
    from hfneg.artefacts import clear as delete

    gone = delete(kinds or None, older_than=None if days is None else timedelta(days=days))
    for kind in gone:
        _say(f"deleted {_several(kind.artefacts, 'artefact')} of {kind.kind}")
    _say(f"{sum(kind.nbytes for kind in gone) / 1e6:,.1f} MB freed")


def prune(digests: list[str] | None, days: float | None) -> None:
    """Delete scores: of the teachers named, of those without a new score for some days, or where both hold."""
    from hfneg.stored import prune as delete

    gone = delete(digests or None, older_than=None if days is None else timedelta(days=days))
    for teacher in gone:
        _say(f"deleted {teacher.scores:,} scores of {teacher.digest}")
    _say(f"{sum(teacher.nbytes for teacher in gone) / 1e6:,.1f} MB freed")


def verify(add: bool) -> None:
    """Compare everything with its checksums; where something is damaged, say what, and raise DamagedError."""
    from hfneg import upkeep

    if add:
        _say(f"checksums added to {_several(upkeep.add_checksums(), 'artefact')}")
    checked = upkeep.verify_store()
    table = Table(box=None, pad_edge=False)
    for name in ("kind", "artefacts", "MB", "without checksums", "damaged files"):
        table.add_column(name, no_wrap=True, justify="left" if name == "kind" else "right")
    for kind in checked:
        megabytes = f"{kind.nbytes / 1e6:,.1f}"
        table.add_row(kind.kind, f"{kind.artefacts:,}", megabytes, f"{kind.without:,}", f"{len(kind.faults):,}")
    if checked:
        out.print(table)
    faults = [fault for kind in checked for fault in kind.faults]
    for fault in faults:
        _say(str(fault))
    if without := sum(kind.without for kind in checked):
        _say(
            f"{_several(without, 'artefact')} of an earlier version without checksums: only sizes and headers were "
            "looked at (hfneg store verify --add gives them checksums of what they are now)"
        )
    if before := len(upkeep.set_aside_before()):
        _say(f"{before:,} set aside earlier (*.damaged), which nothing reads: delete them when you like")
    if faults:
        raise DamagedError(
            f"{_several(len(faults), 'damaged file')} in {store.root()}: hfneg store repair sets them aside, and so "
            "does the next run that needs them, which makes them again"
        )
    _say("all is as it was written")


def repair() -> None:
    """Set aside what is damaged, and say when it is made again."""
    from hfneg.upkeep import repair_store

    aside = repair_store()
    for moved in aside:
        _say(f"set aside: {moved.path} ({moved.again})")
    _say(_several(len(aside), "damaged file"))


def _several(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _say(line: str) -> None:
    out.print(line, highlight=False, markup=False, emoji=False, soft_wrap=True)


def register(app: typer.Typer, errors: Callable[[str], AbstractContextManager[None]]) -> None:
    """Make them commands of `app`, with its way to end on errors."""
    commands = typer.Typer(no_args_is_help=True, help="What the store keeps, and how to be rid of it.")

    @commands.command(name="size")
    def size_command() -> None:
        """List what is kept of each kind, and the teachers whose scores are.

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

    @commands.command(name="clear")
    def clear_command(
        kinds: Annotated[
            list[str] | None, typer.Argument(metavar="KIND", help="As hfneg store size lists them; else all such.")
        ] = None,
        older_than: Annotated[
            float | None, typer.Option(metavar="DAYS", min=0, help="Only what was not written to for so long.")
        ] = None,
    ) -> None:
        """Delete vectors, indexes, converted models and the like: what is made again when it is next needed.

        Corpora, anchors and teachers' scores stay. Not while something is mined.

        Examples:

            hfneg store clear vectors --older-than 30
        """
        with errors(""):
            clear(kinds, older_than)

    @commands.command(name="repair")
    def repair_command() -> None:
        """Verify everything and set damaged files aside (NAME.damaged), to be made again; says when each is.

        Examples:

            hfneg store repair
        """
        with errors(""):
            repair()

    @commands.command(name="verify")
    def verify_command(
        add: Annotated[
            bool,
            typer.Option("--add", metavar="", help="First give what an earlier version wrote the checksums it lacks."),
        ] = False,
    ) -> None:
        """Read everything in the store and compare it with its checksums; exit code 4 where something is damaged.

        Examples:

            hfneg store verify
        """
        with errors(""):
            verify(add)

    app.add_typer(commands, name="store")
