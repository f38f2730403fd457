"""``hfneg rounds``: mine, train, mine again, from one YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from hfneg.cli.common import reading
from hfneg.cli.common.app import MAKE, Quiet, Trust, Wait, command, out as console, switch


def _again(options: dict[str, Any], began: float) -> str:
    """How to go on with rounds that were stopped; rounds to be overwritten may not have been touched yet."""
    out, overwrite = options["to"], options["overwrite"]
    record = out / "rounds.json"
    if not record.is_file() or (overwrite and record.stat().st_mtime < began):
        return f"nothing is begun in {out}: run the same command again"
    return f"the same command with --resume{' in place of --overwrite' * overwrite} goes on in {out}"


@command(MAKE, output="--resume, --overwrite, --out", again=_again)
def rounds(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE",
            help="A YAML file with the slots of a recipe and a section training; or loop, which comes with hfneg.",
        ),
    ],
    pairs: Annotated[
        str, typer.Argument(metavar="PAIRS", help="Anchors and their positives, as for hfneg mine.", show_default=False)
    ],
    corpus: Annotated[
        str | None, typer.Option(metavar="CORPUS", help="Where negatives come from; as for hfneg mine.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(metavar="NAME", help="Split of PAIRS, or qrels of a BEIR folder.")
    ] = None,
    to: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="For round-001, round-002, ...")] = Path("rounds"),
    columns: reading.Columns = None,
    corpus_columns: reading.CorpusColumns = None,
    missing: reading.Missing = None,
    skip_missing: reading.SkipMissing = False,
    symmetric: reading.Symmetric = False,
    negative: reading.Negative = None,
    given: reading.Given = "first",
    label: reading.Label = None,
    min_grade: reading.MinGrade = None,
    positive_label: reading.PositiveLabel = None,
    negative_label: reading.NegativeLabel = None,
    classes: reading.Classes = False,
    class_positives: reading.ClassPositives = 1,
    n: Annotated[
        int | None, typer.Option("--rounds", metavar="N", min=1, help="How many; else as RECIPE says.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="SETTING",
            help="Change the recipe, as for hfneg mine, or training.epochs=2. May be repeated.",
        ),
    ] = None,
    previous: Annotated[
        bool, typer.Option("--previous", metavar="", help="Search only documents of the last round's lists.")
    ] = False,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="ROUND",
            help="Go on from a round: its folder, or org/name@round-002 (training.model: what was trained on it).",
        ),
    ] = None,
    resume: Annotated[bool, switch("resume", "Go on with rounds that were cut off.")] = False,
    overwrite: Annotated[bool, switch("overwrite", "Replace the rounds in --out.")] = False,
    wait: Wait = False,
    trust: Trust = False,
    quiet: Quiet = False,
) -> None:
    """Mine hard negatives, train on them, and mine again with the trained model.

    Each round is a mined folder with the checkpoint that was trained on it. The last checkpoint is the result.

    Examples:

        hfneg rounds loop path/to/scifact --out rounds

        hfneg rounds loop pairs.parquet --corpus docs.jsonl --rounds 2

        hfneg rounds loop path/to/scifact --out rounds --resume
    """
    from hfneg.data.corpora import load_corpus
    from hfneg.training.rounds import rounds as run
    from hfneg.training.trainer import load_training_recipe

    steps, training = load_training_recipe(recipe, trust=trust)
    own = [setting for setting in set_ or [] if setting.startswith("training.")]
    training = training.with_settings([*own, *([] if n is None else [f"training.rounds={n}"])])
    steps = steps.with_settings([setting for setting in set_ or [] if setting not in own], trust=trust)
    read = {"negative": negative, "min_grade": min_grade, "positive_label": positive_label, "missing": missing}
    read |= {"negative_label": negative_label, "classes": classes, "class_positives": class_positives}
    read |= {"skip_missing": skip_missing}
    found = reading.load_pairs(pairs, split, reading.settings(columns, label, **read))
    names = reading.split_at_commas(corpus_columns)
    documents = found.corpus if corpus is None else load_corpus(corpus, columns=names)
    table = _table()
    last = None
    for last in run(
        found,
        documents,
        steps,
        out=to,
        train=training,
        pool="previous" if previous else "corpus",
        start=start,
        resume=resume,
        overwrite=overwrite,
        wait=wait,
        missing=missing,
        given=given,
        symmetric=symmetric,
    ):
        table.add_row(*_cells(last))
        if not quiet:
            console.print(f"round {last.number}: {last.next_model}", highlight=False, soft_wrap=True)
    console.print(table)
    if last is not None:
        if last.diff is not None:
            console.print(last.diff.advice, highlight=False, soft_wrap=True)
        console.print(f"\nThe trained model: {last.next_model}", highlight=False, markup=False, soft_wrap=True)


def _table() -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("round", "negatives", "stayed", "easy now", "teacher asked", "from store"):
        table.add_column(name, justify="right")
    return table


def _cells(round: Any) -> list[str]:
    summary, teacher = round.summary, round.summary.get("teacher", {})
    stayed, easy = ("", "") if round.diff is None else (f"{round.diff.stayed:.1%}", f"{round.diff.easy:.1%}")
    asked = [f"{teacher[name]:,}" if teacher else "" for name in ("pairs_asked", "pairs_from_store")]
    return [str(round.number), f"{summary['negatives']:,}", stayed, easy, *asked]
