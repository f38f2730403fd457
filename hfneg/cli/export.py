"""``hfneg export``: it parses, calls the library, and prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hfneg.cli.common.app import MAKE, Quiet, command, out, switch


@command(MAKE, output="--overwrite, --out")
def export(
    mined: Annotated[
        Path | None, typer.Argument(metavar="MINED", help="A folder that hfneg mine wrote.", show_default=False)
    ] = None,
    format: Annotated[
        str, typer.Option(metavar="NAME", help="tuples, triplets, flagembedding, ...; --list shows all.")
    ] = "tuples",
    to: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="To write: .parquet, .jsonl, ...", show_default=False)
    ] = None,
    split: Annotated[str | None, typer.Option(metavar="NAME", help="Which split, if there are several.")] = None,
    n: Annotated[
        int | None, typer.Option(metavar="N", help="Negatives per row, in formats with a fixed number.")
    ] = None,
    scores: Annotated[
        str | None, typer.Option(metavar="KIND", help="teacher or retriever, in formats with scores.")
    ] = None,
    overwrite: Annotated[bool, switch("overwrite", "Replace the file.")] = False,
    list_: Annotated[bool, switch("list", "List the formats and end.")] = False,
    quiet: Quiet = False,
) -> None:
    """Write a mined folder in the form that a trainer or another tool reads.

    Examples:

        hfneg export --list

        hfneg export mined --format triplets --out train.parquet

        hfneg export mined --format flagembedding --out train.jsonl
    """
    from hfneg import formats
    from hfneg.cli import printing
    from hfneg.errors import SettingError
    from hfneg.runs.folder import mined as mined_folder

    if list_:
        printing.formats(out, formats.TRAINER_FORMATS, formats.FILE_FORMATS)
        return
    if mined is None or to is None:
        wanted = "which folder to read: hfneg export MINED" if mined is None else "where to write: --out FILE"
        raise SettingError(f"say {wanted}")
    rows, anchor, positive = mined_folder.open_split(mined, split)
    options = {"n": n, "scores": scores, "anchor": anchor, "positive": positive}
    accepted = printing.accepted(formats.FORMATS, format, options)
    written = formats.export(rows, format, to, overwrite=overwrite, **accepted)
    printing.exported(out, to, format, written, opens=format in formats.TRAINER_FORMATS)
