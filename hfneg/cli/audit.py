"""``hfneg audit``: it parses, calls the library, prints, and ends with 1 where errors were found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from hfneg.cli.common import reading
from hfneg.cli.common.app import LOOK_BACK, Json, Quiet, command, option, out

EXIT_FOUND = 1
WHAT, TRUTH, LIMITS, FIX = "What to audit", "Against what", "What counts as an error", "Repair"


@command(LOOK_BACK, output="--overwrite, --fix")
def audit(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            help="A folder that hfneg mine wrote, a file (parquet, jsonl, csv, tsv; also .gz), a saved dataset, or a "
            "Hub id (org/name or org/name:config).",
        ),
    ],
    split: Annotated[str | None, option("NAME", "Which split, if there are several.", WHAT)] = None,
    columns: reading.Columns = None,
    anchor: Annotated[str | None, option("COLUMN", "Of the anchors, where not recognised.", WHAT)] = None,
    positive: Annotated[str | None, option("COLUMN", "Of the positives, where not recognised.", WHAT)] = None,
    negative: Annotated[
        list[str] | None, option("COLUMN", "Of the negatives, where not recognised; may be repeated.", WHAT)
    ] = None,
    against: Annotated[
        str | None, option("TEST", "A test set (pairs of any kind, BEIR folder) to look for in DATASET.", TRUTH)
    ] = None,
    against_split: Annotated[str | None, option("NAME", "Its split.", TRUTH)] = None,
    qrels: Annotated[
        str | None,
        option(
            "PATH",
            "Judgments: a BEIR folder, qrels of BEIR or TREC, or a table (by ids or texts). What they call relevant is "
            "an error among the negatives.",
            TRUTH,
        ),
    ] = None,
    qrels_split: Annotated[str | None, option("NAME", "Which qrels of a BEIR folder.", TRUTH)] = None,
    reference: Annotated[
        str | None,
        option("MODEL", "Measure hardness by it; neither the miner nor the teacher.", TRUTH),
    ] = None,
    near_duplicate: Annotated[
        float, typer.Option(metavar="SHARE", rich_help_panel=LIMITS, help="How alike near-duplicates are.")
    ] = 0.9,
    contained: Annotated[
        float,
        typer.Option(metavar="SHARE", rich_help_panel=LIMITS, help="How much of a text inside another is in it."),
    ] = 0.95,
    max_rate: Annotated[
        float, typer.Option(metavar="SHARE", rich_help_panel=LIMITS, help="Tolerated share of each error.")
    ] = 0.0,
    max_false_negatives: Annotated[
        float | None, option("SHARE", "Tolerated rate of false negatives, in place of --max-rate.", LIMITS)
    ] = None,
    fix: Annotated[
        Path | None, option("FILE", "Write a repaired copy (.parquet) and say what was removed.", FIX)
    ] = None,
    emptied: Annotated[
        Literal["drop", "keep"],
        typer.Option(metavar="KIND", rich_help_panel=FIX, help="drop or keep: rows left without negatives."),
    ] = "drop",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", metavar="", rich_help_panel=FIX, help="Replace the file.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check a dataset of hard negatives, anybody's, for what should not be trained on.

    Ends with 0 where it is clean, 1 where it found errors (also where --fix repaired a copy), else as all commands.

    Examples:

        hfneg audit mined

        hfneg audit triplets.parquet --against path/to/scifact --json

        hfneg audit triplets.jsonl --fix repaired.parquet

        hfneg audit mined --qrels path/to/banking77 --max-false-negatives 0.1
    """
    from hfneg.cli.printing import audit as showing_audit
    from hfneg.review.audit import audit as run

    found = run(
        dataset,
        anchor=anchor,
        positive=positive,
        negative=negative,
        split=split,
        columns=reading.split_at_commas(columns),
        against=against,
        against_split=against_split,
        qrels=qrels,
        qrels_split=qrels_split,
        reference=reference,
        near_duplicate=near_duplicate,
        contained=contained,
        max_rate=max_rate,
        max_false_negatives=max_false_negatives,
        fix=fix,
        emptied=emptied,
        overwrite=overwrite,
    )
    if json:
        typer.echo(found.to_json())
    else:
        showing_audit.report(out, found)
    if not found.ok:
        raise typer.Exit(EXIT_FOUND)
