"""The command line: ``hfneg mine``, ``hfneg export``. It parses, calls the library, and prints."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler

from hfneg import __version__
from hfneg.errors import HfnegError, OutputError, ResumeError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Hard negatives for retrievers and embedding models.",
)
out = Console()
err = Console(stderr=True)

EXIT_INPUT, EXIT_OUTPUT, EXIT_WORK = 2, 3, 4


def _version(wanted: bool) -> None:
    if wanted:
        out.print(__version__)
        raise typer.Exit()


@app.callback()
def main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars, no log lines.")] = False,
) -> None:
    """Exit codes: 0 done, 2 the input cannot be used, 3 the output cannot be used, 4 the work failed."""
    level = logging.ERROR if quiet else logging.INFO
    logging.getLogger("hfneg").setLevel(level)
    if not logging.getLogger("hfneg").handlers:
        handler = RichHandler(console=err, show_path=False, show_time=False, show_level=False)
        logging.getLogger("hfneg").addHandler(handler)
    if quiet:
        import datasets

        datasets.disable_progress_bars()


@contextmanager
def _errors_as_exit_codes() -> Iterator[None]:
    """A typed error becomes one paragraph and an exit code; anything else is a bug and keeps its traceback."""
    try:
        yield
    except HfnegError as error:
        code = (
            EXIT_OUTPUT
            if isinstance(error, OutputError)
            else EXIT_INPUT
            if isinstance(error, ValueError)
            else EXIT_WORK
        )
        hint = "" if not isinstance(error, OutputError) else _hint(error)
        err.print(f"[bold red]error[/bold red] ({type(error).__name__}): ", end="")
        err.print(f"{error}{hint}", markup=False, highlight=False)
        raise typer.Exit(code) from None


def _hint(error: OutputError) -> str:
    return " (--overwrite)" if isinstance(error, ResumeError) else " (--resume, --overwrite, --out)"


@app.command()
def mine(
    pairs: Annotated[str, typer.Argument(help="BEIR folder, file (parquet, jsonl, csv), saved dataset or Hub id.")],
    corpus: Annotated[
        str | None,
        typer.Option(help="Where negatives come from; the same kinds. Without it: the BEIR folder, or the positives."),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split of PAIRS (qrels file of a BEIR folder).")] = None,
    recipe: Annotated[Path | None, typer.Option(help="YAML file; without it BM25 and the top 7.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Change the recipe: slot.key=value, e.g. k=200 or sampler.n=5.")
    ] = None,
    to: Annotated[Path, typer.Option("--out", help="Folder to write; load_dataset opens it.")] = Path("mined"),
    anchor: Annotated[
        str | None, typer.Option(help="Column of the anchors; guessed from usual names if left out.")
    ] = None,
    positive: Annotated[str | None, typer.Option(help="Column of the positives (texts, ids, or lists).")] = None,
    show_positives: Annotated[
        int | None,
        typer.Option(
            min=1, help="Measure: mine with only the first N positives of each anchor, count the others mined."
        ),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(help="One worker process per device, e.g. --device cuda:0 --device cuda:1; or all."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was cut off.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier run left in --out.")] = False,
    remine: Annotated[bool, typer.Option("--remine", help="Replace columns of an earlier mining in PAIRS.")] = False,
    trust: Annotated[
        bool, typer.Option("--trust", help="Load components that the recipe names by import path.")
    ] = False,
) -> None:
    """Mine hard negatives for PAIRS.

    Examples:

        hfneg mine shared/scifact --recipe recipes/bm25.yaml --out mined/

        hfneg mine pairs.parquet --corpus docs.jsonl --set retrievers.bm25.k1=0.9 --set sampler.n=5
    """
    with _errors_as_exit_codes():
        from hfneg import run_folder, showing
        from hfneg.mining import mine as run
        from hfneg.recipe import Recipe

        began = time.perf_counter()
        run_folder.check(to, resume=resume, overwrite=overwrite)
        steps = Recipe.load(recipe, trust=trust) if recipe is not None else Recipe()
        steps = steps.with_settings(set_ or [], trust=trust)
        rows, documents, names = _load(pairs, corpus, split, anchor, positive, show_positives)
        run(
            rows,
            documents,
            steps,
            out=to,
            anchor=names[0],
            positive=names[1],
            hidden=names[2],
            resume=resume,
            overwrite=overwrite,
            remine=remine,
            devices="all" if device == ["all"] else device,
        )
        showing.summary(out, to, time.perf_counter() - began)


def _load(
    pairs: str, corpus: str | None, split: str | None, anchor: str | None, positive: str | None, show: int | None
) -> tuple[Any, Any, tuple[str, str, str | None]]:
    """(pairs, corpus, (anchor, positive, hidden)) from what was typed."""
    from hfneg import loading
    from hfneg.errors import SettingError

    if loading.is_beir(pairs):
        rows, documents = loading.load_beir(pairs, split, show)
        hidden = loading.BEIR_HIDDEN if show is not None else None
        names = (anchor or loading.BEIR_ANCHOR, positive or loading.BEIR_POSITIVE, hidden)
        return rows, documents if corpus is None else corpus, names
    if show is not None:
        raise SettingError("--show-positives needs a BEIR folder, where the list of all positives is known")
    rows = loading.load_any(pairs, split)
    if anchor is None or positive is None:
        first = next(iter(rows.values())) if isinstance(rows, dict) else rows
        guess = loading.guess_columns(list(first.column_names))
        anchor, positive = anchor or guess[0], positive or guess[1]
        err.print(f"anchor = {anchor!r}, positive = {positive!r} (guessed; --anchor and --positive say otherwise)")
    return rows, corpus, (anchor, positive, None)


@app.command()
def export(
    mined: Annotated[Path, typer.Argument(help="A folder that hfneg mine wrote.")],
    format: Annotated[str, typer.Option(help="tuples, triplets, labelled_pairs, ... ; see --list.")] = "tuples",
    to: Annotated[Path | None, typer.Option("--out", help="File (or folder, for pylate) to write.")] = None,
    split: Annotated[str | None, typer.Option(help="Which split, where there are several.")] = None,
    n: Annotated[int | None, typer.Option(help="Negatives per row, for formats with a fixed number.")] = None,
    scores: Annotated[str | None, typer.Option(help="teacher or retriever, for formats with scores.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the formats and end.")] = False,
) -> None:
    """Write a mined folder in the form that a trainer or another tool reads."""
    with _errors_as_exit_codes():
        from hfneg import formats, mined_folder, showing
        from hfneg.errors import SettingError

        if list_:
            showing.formats(out, formats.FORMATS)
            return
        if to is None:
            raise SettingError("say where to write it: --out FILE")
        rows, anchor, positive = mined_folder.open_split(mined, split)
        options = {"n": n, "scores": scores, "anchor": anchor, "positive": positive}
        accepted = showing.accepted(formats.FORMATS, format, options)
        written = formats.export(rows, format, to, overwrite=overwrite, **accepted)
        out.print(f"{written:,} rows as {format} in {to}", highlight=False)
