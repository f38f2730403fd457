"""``hfneg mine``: it parses, calls the library, and prints."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hfneg.cli.common import reading, recipe_options
from hfneg.cli.common.app import MAKE, Quiet, command, option, out, switch
from hfneg.cli.common.ending import goes_on

WHAT, HOW, WHERE = "What to mine", "How", "Where, and where to"
DEFAULT = Path("mined")


def _what(metavar: str, help: str) -> Any:
    return option(metavar, help, WHAT)


def _again(options: dict[str, Any], began: float) -> str:
    return goes_on(options["to"] or DEFAULT, overwrite=options["overwrite"])


@command(MAKE, output="--resume, --overwrite, --out", again=_again)
def mine(
    pairs: Annotated[
        str,
        typer.Argument(
            metavar="PAIRS",
            help="Anchors and their positives: a BEIR folder, a file (parquet, jsonl, csv, tsv; also .gz), a saved "
            "dataset, or a Hub id (org/name or org/name:config).",
        ),
    ],
    corpus: Annotated[
        str | None,
        _what("CORPUS", "Where negatives come from, of the same kinds; else the BEIR folder, or the positives."),
    ] = None,
    split: Annotated[str | None, _what("NAME", "Split of PAIRS, or qrels file of a BEIR folder.")] = None,
    corpus_split: Annotated[str | None, _what("NAME", "Split of CORPUS, if it has several.")] = None,
    anchor: Annotated[str | None, _what("COLUMN", "Of the anchors; guessed from usual names.")] = None,
    positive: Annotated[str | None, _what("COLUMN", "Of the positives: texts, ids, or lists of either.")] = None,
    corpus_text: Annotated[str | None, _what("COLUMN", "Of the documents' texts; guessed.")] = None,
    corpus_id: Annotated[str | None, _what("COLUMN", "Of the documents' ids; guessed, else numbered.")] = None,
    positives_are: Annotated[
        Literal["auto", "text", "id"], _what("KIND", "auto, text or id: what the positives' column holds.")
    ] = "auto",
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
    recipe: recipe_options.Recipe = None,
    model: recipe_options.Model = None,
    teacher: recipe_options.Teacher = None,
    n: recipe_options.N = None,
    k: recipe_options.K = None,
    set_: recipe_options.Set = None,
    retrievers: recipe_options.Retrievers = None,
    fusion: recipe_options.Fusion = None,
    guard: recipe_options.Guard = None,
    filters: recipe_options.Filters = None,
    promote: recipe_options.Promote = None,
    sampler: recipe_options.Sampler = None,
    deeper: recipe_options.Deeper = None,
    short: recipe_options.Short = None,
    trust: Annotated[bool, switch("trust", "Load components that the recipe imports.", HOW)] = False,
    show_positives: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            rich_help_panel=HOW,
            help="Measure on a BEIR folder: hide all but the first N positives of each anchor, and count how many of "
            "the hidden ones are mined.",
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FOLDER",
            rich_help_panel=WHERE,
            help="To write; load_dataset opens it. Else the folder mined, and the same command finds it again.",
        ),
    ] = None,
    resume: Annotated[bool, switch("resume", "Go on with a run that was cut off.", WHERE)] = False,
    overwrite: Annotated[bool, switch("overwrite", "Replace an earlier run in --out.", WHERE)] = False,
    wait: Annotated[bool, switch("wait", "For the end of another process that works in --out.", WHERE)] = False,
    remine: Annotated[bool, switch("remine", "Replace columns of an earlier mining.", WHERE)] = False,
    dry_run: Annotated[bool, switch("dry-run", "Say how it is read, with examples; write nothing.", WHERE)] = False,
    device: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=WHERE,
            help="One worker process each: --device cuda:0 --device cuda:1; or all.",
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Mine hard negatives for PAIRS.

    Writes a folder with your rows, their hard negatives, and what became of every other candidate.

    Examples:

        hfneg mine pairs.csv --model sentence-transformers/all-MiniLM-L6-v2

        hfneg mine path/to/scifact --recipe bm25 --out mined

        hfneg mine pairs.parquet --corpus docs.jsonl --k 200 --n 5 --set deeper=500

        hfneg mine pairs.csv --corpus docs.tsv --dry-run
    """
    from hfneg.cli import printing
    from hfneg.data.corpora import load_corpus
    from hfneg.runs import closing
    from hfneg.runs.executors.local import LocalExecutor
    from hfneg.runs.folder import work_area
    from hfneg.runs.mine import mine as run

    began = time.perf_counter()
    resume = resume or (to is None and not overwrite)
    to = to or DEFAULT
    executor = LocalExecutor("all" if device == ["all"] else device)
    slots = {"retrievers": retrievers, "k": k, "fusion": fusion, "guard": guard, "filters": filters}
    slots |= {"promote": promote, "sampler": sampler, "n": n, "deeper": deeper, "short": short}
    steps = recipe_options.steps(recipe, model, teacher, slots, set_ or [], trust)
    read = {"anchor": anchor, "positive": positive, "negative": negative, "min_grade": min_grade}
    read |= {"positive_label": positive_label, "negative_label": negative_label, "missing": missing}
    read |= {"classes": classes, "class_positives": class_positives, "show": show_positives}
    read |= {"skip_missing": skip_missing}
    said = reading.settings(columns, label, **read)
    of_corpus = (corpus_split, corpus_text, corpus_id, reading.split_at_commas(corpus_columns))
    how: Any = {"positives_are": positives_are, "missing": missing, "given": given, "symmetric": symmetric}
    if dry_run:
        reading.show_preview(out, pairs, split, said, corpus, of_corpus, steps, how)
        return
    work_area.check(to, resume=resume, overwrite=overwrite, wait=wait)
    found = reading.load_pairs(pairs, split, said)
    documents = None if corpus is None else load_corpus(corpus, *of_corpus)
    again: Any = {"resume": resume, "overwrite": overwrite, "remine": remine, "wait": wait}
    with closing.told_elsewhere():
        run(found, documents, steps, out=to, **how, **again, executor=executor)
    printing.summary(out, to, time.perf_counter() - began)
