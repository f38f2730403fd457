"""How what a user brings is to be read: the options that ``hfneg mine`` and ``hfneg rounds`` share."""

from __future__ import annotations

import logging
from typing import Annotated, Any, Literal

import typer

PANEL = "What to mine"
LABELS = "Given negatives and labels"


def _option(metavar: str, help: str, panel: str = PANEL, name: str | None = None) -> Any:
    names = (name,) if name else ()
    return typer.Option(*names, metavar=metavar, rich_help_panel=panel, help=help, show_default=False)


Columns = Annotated[
    str | None, _option("A,B,...", "Names for the columns of a CSV or TSV file without a first line of names.")
]
CorpusColumns = Annotated[str | None, _option("A,B,...", "The same for CORPUS.")]
Missing = Annotated[
    Literal["add", "refuse", "skip"] | None,
    _option(
        "KIND",
        "add, refuse or skip: positives that CORPUS does not have; else added, up to a tenth of them.",
    ),
]
SkipMissing = Annotated[
    bool,
    typer.Option(
        "--skip-missing",
        metavar="",
        rich_help_panel=PANEL,
        help="Leave out rows without an anchor or a positive (empty cells), and count them.",
    ),
]
Symmetric = Annotated[
    bool,
    typer.Option("--symmetric", metavar="", rich_help_panel=PANEL, help="A pair holds both ways (duplicates)."),
]
Classes = Annotated[
    bool,
    typer.Option(
        "--classes",
        metavar="",
        rich_help_panel=LABELS,
        help="PAIRS are texts with a class (--anchor, --label): others of the class are positives.",
    ),
]
ClassPositives = Annotated[int, _option("N", "Positives of each text then (1); all of its class are known.", LABELS)]
Negative = Annotated[list[str] | None, _option("COLUMN", "Of given negatives; guessed. May be repeated.", LABELS)]
Given = Annotated[
    Literal["first", "ignore"], _option("KIND", "first or ignore: given negatives, before the mined ones.", LABELS)
]
Label = Annotated[
    str | None, _option("COLUMN", "Of labels of pairs: 1 positive, 0 given negative; guessed. none: no labels.", LABELS)
]
MinGrade = Annotated[
    float | None,
    typer.Option(
        "--min-grade",
        "--relevant-from",
        metavar="GRADE",
        rich_help_panel=LABELS,
        show_default=False,
        help="Of grades and scores the least that is a positive; else above 0.",
    ),
]
PositiveLabel = Annotated[
    list[str] | None, _option("NAME", "The label (of NLI's, say) that means a positive. May be repeated.", LABELS)
]
NegativeLabel = Annotated[list[str] | None, _option("NAME", "The label that means a given negative.", LABELS)]


def settings(columns: str | None, label: str | None, **said: Any) -> dict[str, Any]:
    """What was typed, as arguments of `hfneg.load_pairs`."""
    none = label is not None and label.lower() == "none"
    found = {name: value for name, value in said.items() if value is not None}
    return {**found, "columns": split_at_commas(columns), "label": False if none else label}


def load_pairs(pairs: str, split: str | None, said: dict[str, Any]) -> Any:
    """What was typed, as `hfneg.data.loading.Pairs`; says which columns were guessed."""
    from hfneg.data import loading

    found = loading.load_pairs(pairs, split, **said)
    log = logging.getLogger("hfneg")
    roles = {"anchor": found.anchor, "positive": found.positive}
    guessed = [f"{role} = {name!r}" for role, name in roles.items() if said.get(role) is None]
    if found.layout not in ("texts", "beir"):
        log.info("%s read as %s", pairs, found.layout)
    elif guessed and found.layout == "texts":
        log.info("%s (guessed; --anchor and --positive say otherwise)", ", ".join(guessed))
    if found.negatives:
        log.info("given negatives: %s (--given ignore leaves them out)", ", ".join(map(repr, found.negatives)))
    return found


def show_preview(
    console: Any,
    pairs: str,
    split: str | None,
    said: dict[str, Any],
    corpus: str | None,
    of_corpus: tuple[Any, ...],
    recipe: Any,
    how: dict[str, Any],
) -> None:
    """``hfneg mine --dry-run``."""
    from hfneg.cli.printing import preview as showing_preview
    from hfneg.runs.preview import preview

    names = ("corpus_split", "corpus_text", "corpus_id", "corpus_columns")
    found = preview(pairs, corpus, recipe, split=split, **dict(zip(names, of_corpus, strict=True)), **{**said, **how})
    showing_preview.report(console, found)


def split_at_commas(names: str | None) -> list[str] | None:
    """ "a, b" -> a, b; None stays."""
    return None if names is None else [name.strip() for name in names.split(",")]
