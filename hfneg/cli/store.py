"""``hfneg store size | prune | clear | verify | repair``: what the store holds, and how to be rid of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from hfneg.base import store
from hfneg.base.plain_text import several
from hfneg.cli.common.app import LOOK_BACK, app, command, out, say
from hfneg.errors import DamagedError, SettingError

FEW = 10

commands = typer.Typer(no_args_is_help=True, help="What the store keeps, and how to be rid of it.")
app.add_typer(commands, name="store", rich_help_panel=LOOK_BACK)

Yes = Annotated[bool, typer.Option("--yes", "-y", metavar="", help="Do not ask.")]


def size(as_json: bool) -> None:
    """What is kept of each kind, and the teachers whose scores are, with how many and how large."""
    from hfneg.base.store.artefacts import not_ours, stored_kinds
    from hfneg.base.store.stored import stored_teachers

    kinds, teachers = stored_kinds(), stored_teachers()
    total = sum(kind.nbytes for kind in kinds)
    if as_json:
        found = {"kinds": [kind._asdict() for kind in kinds], "teachers": [each._asdict() for each in teachers]}
        typer.echo(json.dumps({"store": str(store.root()), "nbytes": total, **found, "not_ours": not_ours()}, indent=2))
        return
    _table("kind", "artefacts", kinds)
    _table("teacher (digest)", "scores", teachers)
    _keep(not_ours())
    say(f"{several(len(teachers), 'teacher')}, {total / 1e6:,.1f} MB in all, in {store.root()}")


def _table(name: str, count: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """What, how many, how large, and of a teacher its name; nothing where there is nothing."""
    table = Table(box=None, pad_edge=False)
    table.add_column(name, no_wrap=True)
    table.add_column(count, justify="right")
    table.add_column("MB", justify="right")
    for what, number, nbytes, *named in rows:
        table.add_row(what, f"{number:,}", f"{nbytes / 1e6:,.1f}", *map(escape, named))
    if rows:
        out.print(table)
        out.print()


def clear(kinds: list[str] | None, days: float | None, yes: bool) -> None:
    """Delete what can be made again."""
    from hfneg.base.store import artefacts

    found = artefacts.clearable(kinds or None, older_than=_age(days))
    _keep(artefacts.not_ours())
    sizes = artefacts.sized(found)
    if _may_delete("kind", "artefacts", sizes, yes):
        for kind in artefacts.delete(found):
            say(f"deleted {several(kind.artefacts, 'artefact')} of {kind.kind}")
        say(f"{sum(kind.nbytes for kind in sizes) / 1e6:,.1f} MB freed")


def prune(digests: list[str] | None, days: float | None, yes: bool) -> None:
    """Delete scores: of the teachers named, of those without a new score for some days, or where both hold."""
    from hfneg.base.store import stored

    found = stored.prunable(digests or None, older_than=_age(days))
    if _may_delete("teacher (digest)", "scores", found, yes):
        for teacher in stored.delete(found):
            say(f"deleted {teacher.scores:,} scores of {teacher.digest}")
        say(f"{sum(teacher.nbytes for teacher in found) / 1e6:,.1f} MB freed")


def _may_delete(name: str, count: str, rows: Sequence[tuple[Any, ...]], yes: bool) -> bool:
    """Show what goes, and ask; False where that is nothing, or the answer no.

    Raises SettingError where nobody is there to answer and nobody said --yes.
    """
    if not rows:
        say(f"nothing to delete in {store.root()}")
        return False
    _table(name, count, rows)
    if yes:
        return True
    if sys.stdin is None or not sys.stdin.isatty():
        raise SettingError(f"nothing was deleted: in a script say --yes to delete this from {store.root()}")
    total = sum(nbytes for _, _, nbytes, *_ in rows)
    if typer.confirm(f"Delete this, {total / 1e6:,.1f} MB in all, from {store.root()}?"):
        return True
    say("nothing was deleted")
    return False


def _keep(foreign: Sequence[str]) -> None:
    """Name what is not hfneg's, or behind a link."""
    if foreign:
        shown = ", ".join(foreign[:FEW]) + (f" and {len(foreign) - FEW:,} more" if len(foreign) > FEW else "")
        say(f"not written by hfneg, or behind a link, and kept: {shown}")
        out.print()


def _age(days: float | None) -> timedelta | None:
    try:
        return None if days is None else timedelta(days=days)
    except (ValueError, OverflowError):
        raise SettingError(f"--older-than {days:g}: expected a number of days") from None


def verify(add: bool) -> None:
    """Compare everything with its checksums; where something is damaged, say what, and raise DamagedError."""
    from hfneg.base.store import whole

    if add:
        say(f"checksums added to {several(whole.add_checksums(), 'artefact')}")
    checked = whole.verify_store()
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
        say(str(fault))
    if without := sum(kind.without for kind in checked):
        say(
            f"{several(without, 'artefact')} of an earlier version without checksums: only sizes and headers were "
            "looked at (hfneg store verify --add gives them checksums of what they are now)"
        )
    if before := len(whole.set_aside_before()):
        say(f"{before:,} set aside earlier (*.damaged), which nothing reads: delete them when you like")
    if faults:
        raise DamagedError(
            f"{several(len(faults), 'damaged file')} in {store.root()}: hfneg store repair sets them aside, and so "
            "does the next run that needs them, which makes them again"
        )
    say("all is as it was written")


def repair() -> None:
    """Set aside what is damaged, and say when it is made again."""
    from hfneg.base.store.whole import repair_store

    aside = repair_store()
    for moved in aside:
        say(f"set aside: {moved.path} ({moved.again})")
    say(several(len(aside), "damaged file"))


@command(of=commands, name="size")
def size_command(
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="As JSON, and nothing else.")] = False,
) -> None:
    """List what is kept of each kind, and the teachers whose scores are.

    Examples:

        hfneg store size

        hfneg store size --json
    """
    size(as_json)


@command(of=commands, name="prune")
def prune_command(
    teachers: Annotated[
        list[str] | None, typer.Argument(metavar="DIGEST", help="Of teachers; hfneg store size lists them.")
    ] = None,
    older_than: Annotated[
        float | None,
        typer.Option(metavar="DAYS", min=0, help="Only teachers without a new score for so long."),
    ] = None,
    yes: Yes = False,
) -> None:
    """Delete the scores of the teachers named, or of those not asked for some days; with both, both must hold.

    Says what goes, and asks.

    Examples:

        hfneg store prune --older-than 30
    """
    prune(teachers, older_than, yes)


@command(of=commands, name="clear")
def clear_command(
    kinds: Annotated[
        list[str] | None, typer.Argument(metavar="KIND", help="As hfneg store size lists them; else all such.")
    ] = None,
    older_than: Annotated[
        float | None, typer.Option(metavar="DAYS", min=0, help="Only what was not written to for so long.")
    ] = None,
    yes: Yes = False,
) -> None:
    """Delete vectors, indexes, converted models and the like: what is made again when it is next needed.

    Corpora, anchors and teachers' scores stay, and all that hfneg did not write. Says what goes, and asks. Not
    while something is mined.

    Examples:

        hfneg store clear vectors --older-than 30
    """
    clear(kinds, older_than, yes)


@command(of=commands, name="repair")
def repair_command() -> None:
    """Verify everything and set damaged files aside (NAME.damaged), to be made again; says when each is.

    Examples:

        hfneg store repair
    """
    repair()


@command(of=commands, name="verify")
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
    verify(add)
