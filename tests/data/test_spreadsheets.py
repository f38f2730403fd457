"""A sample to be judged is opened in spreadsheets: nothing in it runs there, and it comes back as it was."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st
from small_collection import documents, pairs

import hfneg
from hfneg.data.files import spreadsheets
from hfneg.errors import InputError

FORMULAS = [
    "=1+1",
    "+1",
    "-1+2",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "  =1",
    "\uff1d1",
    "'=1",
    "''x",
    "'",
    "",
    "NA",
    "007",
    "a=b",
]
DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")

texts = st.text(st.sampled_from("=+-@'\"\t\r\n ;,aé\uff1d0"), max_size=6) | st.text(max_size=20)


def table_of(values: list[str]) -> pa.Table:
    weights = [1.5] * len(values)
    return pa.table({"anchor_id": values, "document": values[::-1], "stratum": values, "weight": weights})


@settings(max_examples=200, deadline=None)
@given(values=st.lists(texts, min_size=1, max_size=5))
def test_what_is_written_is_read_back(values: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Any texts, to the letter; and no cell begins with what a spreadsheet calculates."""
    path = tmp_path_factory.mktemp("csv") / "sample.csv"
    spreadsheets.write(table_of(values), path)
    rows = spreadsheets.read(path)
    assert rows is not None
    assert [row["anchor_id"] for row in rows] == values
    assert [row["document"] for row in rows] == values[::-1]
    with path.open(encoding="utf-8", newline="") as file:
        cells = [cell for row in list(csv.reader(file))[1:] for cell in row]
    assert not [cell for cell in cells if cell.lstrip(" ").startswith(DANGEROUS)]


def saved_again(path: Path, **how: Any) -> None:
    """By a spreadsheet: every cell as it reads it, in its own dialect."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    encoding = how.pop("encoding", "utf-8")
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, **how).writerows(rows)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"encoding": "utf-8-sig"},
        {"lineterminator": "\n", "quoting": csv.QUOTE_ALL},
        {"delimiter": ";"},
        {"delimiter": "\t", "encoding": "utf-8-sig"},
    ],
    ids=["crlf", "mark", "lf", "semicolons", "tabs"],
)
def test_what_a_spreadsheet_saved_is_read(how: dict[str, Any], tmp_path: Path) -> None:
    """Other quotes, line ends, delimiters and a byte order mark change no text."""
    path = tmp_path / "sample.csv"
    spreadsheets.write(table_of(FORMULAS), path)
    saved_again(path, **how)
    rows = spreadsheets.read(path)
    assert rows is not None
    assert [row["document"] for row in rows] == FORMULAS[::-1]


def test_only_own_files_are_unguarded(tmp_path: Path) -> None:
    """Somebody else's quote stays; a file that is not UTF-8 is an error that says what to do."""
    path = tmp_path / "theirs.csv"
    path.write_text("query,document,relevance\na,''quoted'',1\n", encoding="utf-8")
    assert spreadsheets.read(path) is None
    path.write_bytes("stratum,weight\né,1\n".encode("latin-1"))
    with pytest.raises(InputError, match="CSV in UTF-8"):
        spreadsheets.read(path)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_judged_sample_of_formulas(suffix: str, tmp_path: Path) -> None:
    """Anchors and documents that a spreadsheet would calculate are judged and found again, all of them; only CSV is
    guarded."""
    docs = [f"{'=+-@'[i % 4]}{text}" for i, text in enumerate(dict.fromkeys(documents()))]
    rows = pairs(texts=docs).filter(lambda row: row["answer"] in docs).map(lambda row: {"query": f"={row['query']}"})
    corpus = hfneg.Corpus.from_dataset([{"_id": f"-{i}", "text": text} for i, text in enumerate(docs)], id="_id")
    hfneg.mine(rows, corpus, hfneg.Recipe(k=10), out=tmp_path / "mined", anchor="query", positive="answer")
    out = tmp_path / f"sample{suffix}"
    hfneg.calibrate(tmp_path / "mined", sample=60, out=out)
    text = out.read_text(encoding="utf-8")
    assert ("'=" in text) == (suffix == ".csv")
    out.write_text(all_judged(text, suffix), encoding="utf-8", newline="")
    found = hfneg.calibrate(tmp_path / "mined", judge=out)
    assert (found.false_negatives.judged, found.false_negatives.rate) == (60, 1.0)
    assert not [warning for warning in found.warnings if "not in the folder" in warning]


def all_judged(text: str, suffix: str) -> str:
    """The file with a 1 in each empty cell of the judgment."""
    if suffix == ".jsonl":
        return text.replace('"relevance": null', '"relevance": 1')
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    written = io.StringIO(newline="")
    writer = csv.DictWriter(written, list(rows[0]))
    writer.writeheader()
    writer.writerows({**row, "relevance": "1"} for row in rows)
    return written.getvalue()
