"""``hfneg calibrate``: it parses, calls the library, and prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hfneg.cli.common.app import LOOK_BACK, Json, Quiet, command, option, out as console

JUDGED, VARIED, MEASURED = "What is judged", "Which setting to take", "What else is measured"


@command(LOOK_BACK, output="--overwrite, --out")
def calibrate(
    mined: Annotated[str, typer.Argument(metavar="MINED", help="A folder that hfneg mine wrote.")],
    sample: Annotated[
        int | None, option("N", "Write N pairs to be judged to --out, more of them where the doubt is.", JUDGED)
    ] = None,
    out: Annotated[Path | None, option("FILE", "Where to: .csv, .jsonl or .parquet.", JUDGED)] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", metavar="", rich_help_panel=JUDGED, help="Replace that file.")
    ] = False,
    judge: Annotated[
        str | None,
        option(
            "FILE",
            "Judgments: the sample with its column relevance filled in, any table of judged pairs (by ids or texts), "
            "qrels of BEIR or TREC, or a BEIR folder.",
            JUDGED,
        ),
    ] = None,
    judge_split: Annotated[str | None, option("NAME", "Which qrels of a BEIR folder.", JUDGED)] = None,
    relevant_from: Annotated[
        float | None, option("GRADE", "The least grade that is relevant (1 unless said).", JUDGED)
    ] = None,
    complete: Annotated[
        bool | None,
        typer.Option(
            "--complete/--listed-only",
            rich_help_panel=JUDGED,
            show_default=False,
            help="What the judgments do not name for an anchor is not relevant, or not judged.",
        ),
    ] = None,
    vary: Annotated[
        str | None, option("SETTING", "Such as filters.margin.relative, or skip; the last limit unless said.", VARIED)
    ] = None,
    values: Annotated[str | None, option("LIST", "Its values, with commas between.", VARIED)] = None,
    target: Annotated[
        float | None,
        option("RATE", "Choose the hardest value whose upper end is below this (on half of the anchors).", VARIED),
    ] = None,
    reference: Annotated[
        str | None, option("MODEL", "Measure hardness by it; neither the miner nor the teacher.", MEASURED)
    ] = None,
    plot: Annotated[Path | None, option("FILE", "Write a picture (.png).", MEASURED)] = None,
    corpus: Annotated[
        str | None, option("CORPUS", "What was mined from, where the store no longer has it.", MEASURED)
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", rich_help_panel=MEASURED, help="Draws the sample.")] = 0,
    trust: Annotated[
        bool,
        typer.Option("--trust", metavar="", rich_help_panel=MEASURED, help="Load components named by import path."),
    ] = False,
    record: Annotated[
        bool, typer.Option("--record", metavar="", help="Write the rate into the folder's summary and card.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """How many of the mined negatives are relevant after all, with a 95% interval; and which setting to take.

    Judge a sample by hand or by a language model and give it back. Without judgments only a bound is told.

    Examples:

        hfneg calibrate mined --sample 200 --out to_judge.csv

        hfneg calibrate mined --judge judged.csv --sample 400 --out more.csv

        hfneg calibrate mined --judge judged.csv --reference org/another-model

        hfneg calibrate mined --judge judged.csv --target 0.05

        hfneg calibrate mined --vary filters.margin.relative --values 0.05,0.1

        hfneg calibrate mined --judge qrels/test.tsv --plot curve.png --json
    """
    from hfneg.cli.printing import calibration
    from hfneg.review.calibrate.calibrate import calibrate as run

    found = run(
        mined,
        judge=judge,
        judge_split=judge_split,
        relevant_from=relevant_from,
        complete=complete,
        sample=sample,
        out=out,
        overwrite=overwrite,
        vary=vary,
        values=None if values is None else parsed(values),
        target=target,
        reference=reference,
        plot=plot,
        corpus=corpus,
        seed=seed,
        trust=trust,
        record=record,
    )
    if json:
        typer.echo(found.to_json())
    else:
        calibration.report(console, found)


def parsed(values: str) -> list[Any]:
    """ "0.05, 0.1" -> [0.05, 0.1]; what is no number or YAML value stays a text."""
    from hfneg.pipeline.recipe_text import parse_yaml

    found: list[Any] = [parse_yaml(word, repr(word)) for word in values.split(",") if word.strip()]
    return found
