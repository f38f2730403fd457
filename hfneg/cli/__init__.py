"""The command line: ``hfneg mine``, ``hfneg export``, ``hfneg audit``. It parses, calls the library, and prints."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.logging import RichHandler

from hfneg import __version__
from hfneg.base.scrubbing import scrubbed_line
from hfneg.cli import (
    audit as cli_audit,
    calibrate as cli_calibrate,
    push as cli_push,
    reading as cli_reading,
    recipes as cli_recipes,
    report as cli_report,
    reproduce as cli_reproduce,
    rounds as cli_rounds,
    select as cli_select,
    store as cli_store,
    verbose as cli_verbose,
)
from hfneg.cli.ending import endings, err, goes_on

app = typer.Typer(
    cls=cli_recipes.Commands,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 2 unusable input, 3 unusable output, 4 the work failed, 130 stopped by Ctrl-C (129 by "
    "SIGHUP, 143 by SIGTERM).",
)
out = Console()

Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", metavar="", help="No progress bars and no log lines, only the result.")
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


def _speak(quiet: bool) -> None:
    """Log lines and progress bars on stderr, or neither."""
    log = logging.getLogger("hfneg")
    log.setLevel(logging.DEBUG if cli_verbose.wanted() else logging.ERROR if quiet else logging.INFO)
    if not log.handlers:
        handler = RichHandler(console=err, show_path=False, show_time=False, show_level=False)
        handler.addFilter(scrubbed_line)
        log.addHandler(handler)
    if quiet:
        import datasets

        datasets.disable_progress_bars()


WHAT, HOW, WHERE = "What to mine", "How", "Where, and where to"


def _what(metavar: str, help: str) -> Any:
    return typer.Option(metavar=metavar, rich_help_panel=WHAT, help=help)


def _switch(name: str, help: str, panel: str | None = None) -> Any:
    return typer.Option(f"--{name}", metavar="", rich_help_panel=panel, help=help)


@app.command()
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
    columns: cli_reading.Columns = None,
    corpus_columns: cli_reading.CorpusColumns = None,
    missing: cli_reading.Missing = None,
    skip_missing: cli_reading.SkipMissing = False,
    symmetric: cli_reading.Symmetric = False,
    negative: cli_reading.Negative = None,
    given: cli_reading.Given = "first",
    label: cli_reading.Label = None,
    min_grade: cli_reading.MinGrade = None,
    positive_label: cli_reading.PositiveLabel = None,
    negative_label: cli_reading.NegativeLabel = None,
    classes: cli_reading.Classes = False,
    class_positives: cli_reading.ClassPositives = 1,
    recipe: cli_recipes.Recipe = None,
    model: cli_recipes.Model = None,
    teacher: cli_recipes.Teacher = None,
    n: cli_recipes.N = None,
    k: cli_recipes.K = None,
    set_: cli_recipes.Set = None,
    retrievers: cli_recipes.Retrievers = None,
    fusion: cli_recipes.Fusion = None,
    guard: cli_recipes.Guard = None,
    filters: cli_recipes.Filters = None,
    promote: cli_recipes.Promote = None,
    sampler: cli_recipes.Sampler = None,
    deeper: cli_recipes.Deeper = None,
    short: cli_recipes.Short = None,
    trust: Annotated[bool, _switch("trust", "Load components that the recipe imports.", HOW)] = False,
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
    resume: Annotated[bool, _switch("resume", "Go on with a run that was cut off.", WHERE)] = False,
    overwrite: Annotated[bool, _switch("overwrite", "Replace an earlier run in --out.", WHERE)] = False,
    wait: Annotated[bool, _switch("wait", "For the end of another process that works in --out.", WHERE)] = False,
    remine: Annotated[bool, _switch("remine", "Replace columns of an earlier mining.", WHERE)] = False,
    dry_run: Annotated[bool, _switch("dry-run", "Say how it is read, with examples; write nothing.", WHERE)] = False,
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
    resume = resume or (to is None and not overwrite)
    to = to or Path("mined")
    with endings("--resume, --overwrite, --out", lambda: goes_on(to, overwrite=overwrite)):
        _speak(quiet)
        from hfneg.cli import printing as showing
        from hfneg.data.corpora import load_corpus
        from hfneg.runs import closing
        from hfneg.runs.executors.local import LocalExecutor
        from hfneg.runs.folder import work_area as run_folder
        from hfneg.runs.mine import mine as run

        began = time.perf_counter()
        executor = LocalExecutor("all" if device == ["all"] else device)
        slots = {"retrievers": retrievers, "k": k, "fusion": fusion, "guard": guard, "filters": filters}
        slots |= {"promote": promote, "sampler": sampler, "n": n, "deeper": deeper, "short": short}
        steps = cli_recipes.steps(recipe, model, teacher, slots, set_ or [], trust)
        read = {"anchor": anchor, "positive": positive, "negative": negative, "min_grade": min_grade}
        read |= {"positive_label": positive_label, "negative_label": negative_label, "missing": missing}
        read |= {"classes": classes, "class_positives": class_positives, "show": show_positives}
        read |= {"skip_missing": skip_missing}
        said = cli_reading.settings(columns, label, **read)
        of_corpus = (corpus_split, corpus_text, corpus_id, cli_reading.split_at_commas(corpus_columns))
        how: Any = {"positives_are": positives_are, "missing": missing, "given": given, "symmetric": symmetric}
        if dry_run:
            cli_reading.show_preview(out, pairs, split, said, corpus, of_corpus, steps, how)
            return
        run_folder.check(to, resume=resume, overwrite=overwrite, wait=wait)
        found = cli_reading.load_pairs(pairs, split, said)
        documents = None if corpus is None else load_corpus(corpus, *of_corpus)
        again: Any = {"resume": resume, "overwrite": overwrite, "remine": remine, "wait": wait}
        with closing.told_elsewhere():
            run(found, documents, steps, out=to, **how, **again, executor=executor)
        showing.summary(out, to, time.perf_counter() - began)


@app.command()
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
    overwrite: Annotated[bool, _switch("overwrite", "Replace the file.")] = False,
    list_: Annotated[bool, _switch("list", "List the formats and end.")] = False,
    quiet: Quiet = False,
) -> None:
    """Write a mined folder in the form that a trainer or another tool reads.

    Examples:

        hfneg export --list

        hfneg export mined --format triplets --out train.parquet

        hfneg export mined --format flagembedding --out train.jsonl
    """
    with endings("--overwrite, --out"):
        _speak(quiet)
        from hfneg import formats
        from hfneg.cli import printing as showing
        from hfneg.errors import SettingError
        from hfneg.runs.folder import mined as mined_folder

        if list_:
            showing.formats(out, formats.TRAINER_FORMATS, formats.FILE_FORMATS)
            return
        if mined is None or to is None:
            wanted = "which folder to read: hfneg export MINED" if mined is None else "where to write: --out FILE"
            raise SettingError(f"say {wanted}")
        rows, anchor, positive = mined_folder.open_split(mined, split)
        options = {"n": n, "scores": scores, "anchor": anchor, "positive": positive}
        accepted = showing.accepted(formats.FORMATS, format, options)
        written = formats.export(rows, format, to, overwrite=overwrite, **accepted)
        showing.exported(out, to, format, written, opens=format in formats.TRAINER_FORMATS)


cli_audit.register(app, _speak, endings)
cli_select.register(app, _speak, endings)
cli_push.register(app, _speak, endings)
cli_calibrate.register(app, _speak, endings)
cli_rounds.register(app, _speak, endings)
cli_report.register(app, _speak, endings)
cli_reproduce.register(app, _speak, endings)
cli_recipes.register(app, endings)
cli_store.register(app, endings)
cli_verbose.offer(app)
