"""Where the guard takes much, it is said, with the setting and a pair; empty documents are no one's candidates."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from scripted import SearchOnly
from typer.testing import CliRunner

import hfneg
from hfneg import cli
from hfneg.steps.block import verdicts

NAMES = {"anchor": "q", "positive": "a"}
COLOURS = ("red", "blue", "green", "grey")
BASE = (
    "A shirt of model {i}, made of cotton that was grown without water, washable, sent within three days to any place"
)
VARIANTS = [f"{BASE.format(i=i)}, in the colour {colour}" for i in range(20) for colour in COLOURS]


def products() -> Dataset:
    return Dataset.from_list([{"q": f"shirt of model {i}, {COLOURS[0]}", "a": VARIANTS[4 * i]} for i in range(20)])


def mined(out: Path, recipe: hfneg.Recipe, documents: list[str] = VARIANTS) -> dict[str, Any]:
    hfneg.mine(products(), documents, recipe, out=out, **NAMES)
    facts: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return facts


def test_a_run_says_where_the_guard_takes_much(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A corpus of variants: share, setting and a pair that shows the difference stand in log, summary, card, report and
    on the command line; with the setting off there is nothing to say."""
    recipe = hfneg.Recipe(k=10, sampler=hfneg.TakeTop(3))
    with caplog.at_level(logging.WARNING, "hfneg"):
        facts = mined(tmp_path / "on", recipe)
    (took,) = facts["guard_takes"]
    assert (took["verdict"], took["setting"], took["value"]) == ("near_positive", "near_duplicate", 0.9)
    others = facts["candidates"] - facts["verdicts"]["known_positive"]
    assert took["share"] == round(facts["verdicts"]["near_positive"] / others, 6) > 0.03
    assert took["positive"].endswith("colour red")
    assert took["candidate"] != took["positive"]
    assert "Guard(near_duplicate=None)" in caplog.text
    assert took["candidate"] in caplog.text
    assert "`near_duplicate=0.9`" in (tmp_path / "on" / "README.md").read_text()
    hfneg.report(tmp_path / "on", tmp_path / "report.html")
    assert "Guard(near_duplicate=None)" in (tmp_path / "report.html").read_text()
    off = recipe.with_settings(["guard.near_duplicate=null"])
    caplog.clear()
    assert "guard_takes" not in mined(tmp_path / "off", off)
    assert "the guard took" not in caplog.text
    assert facts["verdicts"]["selected"] == 60


def test_the_command_says_it(tmp_path: Path) -> None:
    """`hfneg mine` prints the share and the setting beside its table."""
    products().to_parquet(str(tmp_path / "pairs.parquet"))
    Dataset.from_dict({"text": [*VARIANTS, "  ", ""]}).to_parquet(str(tmp_path / "corpus.parquet"))
    arguments = ["mine", "pairs.parquet", "--corpus", "corpus.parquet", "--anchor", "q", "--positive", "a"]
    arguments = [str(tmp_path / word) if word.endswith("parquet") else word for word in arguments]
    result = CliRunner().invoke(cli.app, [*arguments, "--set", "k=10", "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "--set guard.near_duplicate=null" in said
    assert "2 empty documents: never a candidate" in said


def test_map_says_it_once(caplog: pytest.LogCaptureFixture) -> None:
    """In a `.map` the first batch that shows it is said, those behind it are not said again; staged or in one."""
    anchors = hfneg.Anchors(products(), hfneg.Corpus.from_texts(VARIANTS), **NAMES)
    recipe = hfneg.Recipe(k=20, sampler=hfneg.TakeTop(3))
    products().map(recipe.transform(anchors), batched=True, batch_size=10)
    assert caplog.text.count("the guard took") == 1
    staged = products().map(hfneg.Retrieve(anchors, hfneg.BM25(), k=20), batched=True)
    staged.map(hfneg.Select(anchors), batched=True, batch_size=10)
    assert caplog.text.count("the guard took") == 2


def test_what_is_contained_is_said_too(tmp_path: Path) -> None:
    """Templates with a paragraph more: the verdict of its own, and its own setting."""
    longer = [f"{text}, and with it comes a letter that thanks for the order" for text in VARIANTS[::4]]
    facts = mined(tmp_path / "out", hfneg.Recipe(k=8), [*VARIANTS[::4], *longer])
    (took,) = facts["guard_takes"]
    assert (took["verdict"], took["setting"], took["value"]) == ("contained", "contained", 0.95)
    assert took["candidate"].startswith(took["positive"])


# Empty documents.

EMPTY = ["", "  ", "\u3000\n", "\u00a0"]
DOCUMENTS = ["the fault slips", "", "waves travel far", "  ", "a fault creeps", "\u3000\n", "basalt is dark", "\u00a0"]
FULL = [i for i, text in enumerate(DOCUMENTS) if text.strip()]


class Everything(SearchOnly):
    """Finds empty documents first."""

    def __init__(self) -> None:
        order = sorted(range(len(DOCUMENTS)), key=lambda i: (i in FULL, i))
        super().__init__({"which fault slips?": [(row, -float(i)) for i, row in enumerate(order)]})


@pytest.mark.parametrize("kind", ["bm25", "random", "given", "own"])
def test_no_retriever_finds_an_empty_document(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """They neither stand among the candidates nor take places of others: k=2 gives two documents that say something."""
    corpus = hfneg.Corpus.from_texts(DOCUMENTS)
    pairs = Dataset.from_list([{"q": "which fault slips?", "a": DOCUMENTS[0]}])
    given = Dataset.from_list([{"q": "which fault slips?", "found": [*EMPTY, *DOCUMENTS]}])
    retriever = {
        "bm25": hfneg.BM25(),
        "random": hfneg.RandomDocuments(),
        "given": hfneg.candidates_from(given, "found", anchor="q"),
        "own": Everything(),
    }[kind]
    anchors = hfneg.Anchors(pairs, corpus, **NAMES)
    with caplog.at_level(logging.INFO, "hfneg"):
        retrieve = hfneg.Retrieve(anchors, retriever, k=2)
    assert "4 documents are empty" in caplog.text
    rows = retrieve.run(anchors.numbers({"q": ["which fault slips?"]})).rows.tolist()
    assert set(rows) <= set(FULL)
    assert len(set(rows) - {0}) == (1 if kind == "bm25" else 2)


def test_no_random_document_that_fills_up_is_empty() -> None:
    """`Fill` takes what is left of the corpus but for the empty ones."""
    pairs = Dataset.from_list([{"q": "which fault slips?", "a": DOCUMENTS[0]}])
    anchors = hfneg.Anchors(pairs, hfneg.Corpus.from_texts(DOCUMENTS), **NAMES)
    recipe = hfneg.Recipe(k=1, sampler=hfneg.TakeTop(8), short=hfneg.Fill())
    found = pairs.map(recipe.transform(anchors), batched=True)[0]
    assert sorted(found["hard_negatives"]) == sorted(DOCUMENTS[i] for i in FULL[1:])


def test_codes_of_earlier_verdicts_are_what_they_were() -> None:
    """Ledgers hold codes: new verdicts have new ones."""
    assert {code: verdicts.FIXED[code] for code in range(10)} == {
        0: "selected",
        1: "spare",
        2: "known_positive",
        3: "own_text",
        4: "near_positive",
        5: "repeat",
        6: "not_examined",
        7: "promoted",
        8: "relaxed",
        9: "filled",
    }
    assert (verdicts.CONTAINED, verdicts.EMPTY) == (11, 12)
