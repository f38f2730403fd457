"""``hfneg push``: it parses, calls the library, and prints what is where."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from hfneg.cli.common.app import SHARE, Mined, Quiet, command, option, out, say
from hfneg.cli.common.ending import AGAIN

if TYPE_CHECKING:
    from hfneg.hub.push import Published


def _again(options: dict[str, Any], began: float) -> str:
    return f"{AGAIN}: what is published already is not published twice"


@command(SHARE, output="--dry-run", again=_again)
def push(
    mined: Mined,
    repo: Annotated[str, typer.Argument(metavar="REPO", help="org/name on the Hub; made where it does not exist.")],
    round: Annotated[int | None, option("N", "Its number; else one after the newest.")] = None,
    format: Annotated[
        list[str] | None,
        option("NAME", "Also publish texts: triplets, tuples, ..., or rows for all columns. May be repeated."),
    ] = None,
    private: Annotated[bool, typer.Option("--private", metavar="", help="Make a new repository private.")] = False,
    license: Annotated[
        str | None, option("NAME", "As on the Hub (cc-by-4.0); else that of the README or of the sources.")
    ] = None,
    language: Annotated[
        list[str] | None, option("CODE", "Of the texts, such as en; else what the sources say. May be repeated.")
    ] = None,
    tag: Annotated[str | None, option("NAME", "Of the commit; else round-001 and so on.")] = None,
    branch: Annotated[str | None, option("NAME", "To publish on; else main.")] = None,
    corpus: Annotated[
        str | None, option("CORPUS", "What hfneg mine was given; needed only where the store has lost it.")
    ] = None,
    no_audit: Annotated[
        bool, typer.Option("--no-audit", metavar="", help="Do not look for leaks, and say nothing of it.")
    ] = False,
    allow_secrets: Annotated[
        bool,
        typer.Option(
            "--allow-secrets",
            metavar="",
            help="The texts may hold what looks like keys, tokens or passwords; your own tokens never.",
        ),
    ] = False,
    terms_ok: Annotated[
        bool,
        typer.Option(
            "--terms-ok",
            metavar="",
            help="Publish although a source is private, gated, or has a stricter licence; the card says so.",
        ),
    ] = False,
    dry_run: Annotated[
        Path | None, option("FOLDER", "Write the repository into a new folder to look at, and send nothing.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Publish MINED as a round of a dataset on the Hub: ids and scores, texts, ledger, and a card.

    All of it is one commit with a tag; what is there already stays. Broken off, it can simply be run again. Run again
    after hfneg calibrate --record, or with another licence or format, it brings the card up to date under a new tag.

    Examples:

        hfneg push mined org/name --dry-run look

        hfneg push mined org/name --format triplets --license cc-by-4.0

        hfneg push mined org/name --round 2 --private
    """
    from hfneg.data.corpora import as_corpus
    from hfneg.hub.publish import publish

    done = publish(
        mined,
        repo,
        round=round,
        private=private,
        revision=branch,
        tag=tag,
        formats=format or (),
        license=license,
        language=language or (),
        corpus=None if corpus is None else as_corpus(corpus),
        audit=not no_audit,
        allow_secrets=allow_secrets,
        terms_ok=terms_ok,
        dry_run=dry_run,
    )
    _show(done)


def _show(done: Published) -> None:
    """Each config with rows and size, what was done, and how to load it."""
    from hfneg.runs.folder.card.rendering import bytes_in_words

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("config", no_wrap=True)
    table.add_column("rows", justify="right")
    table.add_column("size", justify="right")
    for config in done.configs:
        table.add_row(config.name, f"{config.rows:,}", bytes_in_words(config.size))
    out.print(table)
    for line in done.ignored:
        say(f"ignored: {line}")
    if done.folder is not None:
        say(f"\nround {done.round} as it would be, in {done.folder}; nothing was sent")
        return
    changed = f"; changed: {', '.join(done.changes)}" if done.changes else ""
    what = f"published{changed}" if done.new else "was there already"
    say(f"\nround {done.round} {what}: {done.repo}, tag {done.tag}, commit {done.commit}")
    say(f'  load_dataset("{done.repo}", "{done.configs[0].name}", revision="{done.tag}")')
