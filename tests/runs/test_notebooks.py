"""What a notebook shows: small tables of what an object holds, with texts as they are."""

from __future__ import annotations

import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest
from small_collection import documents, pairs

import hfneg

NAMES = {"anchor": "query", "positive": "answer"}
BAD = "<script>alert('&')</script> | slab plate"


class Rows(HTMLParser):
    """Cells of the table, row by row; every tag that was opened."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def shown(thing: Any) -> list[list[str]]:
    """The rows of its table, checked to be whole and of no tags but those of a table."""
    found = Rows(thing._repr_html_())
    assert found.open == []
    assert found.tags <= {"div", "strong", "table", "tr", "td", "th"}
    return found.rows


def test_corpus_anchors_recipe_and_transforms() -> None:
    """Counts, settings and the first texts, as they are, tags among them."""
    corpus = hfneg.Corpus.from_texts([BAD, *documents()])
    anchors = hfneg.Anchors(pairs(), corpus, missing="add", **NAMES)
    recipe = hfneg.Recipe(k=8, filters=[hfneg.RankWindow(skip=1)], sampler=hfneg.TakeTop(2))
    rows = shown(corpus)
    assert rows[0] == ["documents", f"{len(corpus):,}"]
    assert ["the first", BAD] in rows
    assert shown(anchors)[:2] == [["anchors", f"{len(anchors):,}"], ["of rows", f"{anchors.rows:,}"]]
    assert ["filters", repr(recipe.filters[0])] in shown(recipe)
    transform = recipe.transform(anchors)
    slots = dict(row for row in shown(transform) if row[0])
    assert (slots["k"], slots["sampler"], slots["short"]) == ("8", "TakeTop(n=2)", "Keep()")
    assert slots["anchors"] == repr(anchors)
    assert "teacher" not in slots, "there is none"
    assert shown(transform.retrieve) + shown(transform.select) == [r for r in shown(transform) if r[0] != "short"]


def test_mined_rows(tmp_path: Path) -> None:
    """An anchor with its positive, its negatives and the rejected with the reason; nothing where the folder is gone,
    nor of other rows that were made of these."""
    recipe = hfneg.Recipe(k=20, filters=[hfneg.RankWindow(skip=8)], sampler=hfneg.TakeTop(2))
    mined = hfneg.mine(pairs(), documents(), recipe, out=tmp_path / "mined", missing="add", **NAMES)
    page = mined._repr_html_()
    header, *rows = shown(mined)
    assert header == ["", "document", "found by", "score"]
    of_anchor = [row for row in mined.to_list() if f"<strong>{row['query']} (an anchor of" in page]
    assert {text for what, text, _, _ in rows if what == "positive"} == {row["answer"] for row in of_anchor}
    assert [text for what, text, _, _ in rows if what == "negative"] == of_anchor[0]["hard_negatives"]
    assert any(what.startswith("rank_window: ") for what, *_ in rows)
    assert not hasattr(mined.select(range(3)), "_repr_html_")
    assert not hasattr(mined.map(lambda row: {"a": 1}), "_repr_html_")
    shutil.rmtree(tmp_path / "mined" / "ledger")
    assert mined._repr_html_() is None


@pytest.mark.parametrize("form", ["pandas", "splits of pandas"])
def test_frames_are_pairs(form: str) -> None:
    """`Anchors` of a frame are those of the same rows in a Dataset."""
    frame = pd.DataFrame(pairs().to_list())
    corpus = hfneg.Corpus.from_texts(documents())
    given = frame if form == "pandas" else {"train": frame}
    same = pairs() if form == "pandas" else datasets.DatasetDict({"train": pairs()})
    found, wanted = (hfneg.Anchors(rows, corpus, missing="add", **NAMES) for rows in (given, same))
    assert found.digest == wanted.digest
    assert np.array_equal(found.positives(np.arange(len(found))).flat, wanted.positives(np.arange(len(wanted))).flat)
