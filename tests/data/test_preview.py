"""`hfneg mine --dry-run` and `hfneg.preview` show every reading decision, and leave nothing behind."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import datasets
import pytest
from test_way_in import ASKED, BODIES, TITLES, N, as_lines, rows_of, run

import hfneg
from hfneg.base import store


def everything_below(*folders: Path) -> set[str]:
    return {str(path) for folder in folders if folder.exists() for path in folder.rglob("*")}


@pytest.fixture
def brought(tmp_path: Path) -> dict[str, Path]:
    negatives = [BODIES[(i + 7) % N] for i in range(N)]
    pairs = rows_of(asked=ASKED, answer=BODIES, hard_neg=negatives, topic=["x"] * N)
    documents = rows_of(uuid=[f"u{i}" for i in range(N)], title=TITLES, text=BODIES, url=["y"] * N)
    return {"pairs": as_lines(tmp_path / "p.jsonl", pairs), "corpus": as_lines(tmp_path / "d.jsonl", documents)}


def test_it_says_how_everything_is_read(brought: dict[str, Path], tmp_path: Path) -> None:
    """Files and columns, how positives were matched, three anchors with what is theirs, scripts, steps and a time."""
    code, said = run(
        *("mine", brought["pairs"], "--corpus", brought["corpus"], "--anchor", "asked", "--dry-run"),
        *("--out", tmp_path / "out", "--set", "k=9", "--set", "retrievers=RandomDocuments()"),
    )
    assert code == 0
    for part in (
        *("anchor asked", "positive answer (texts of documents)", "given negatives hard_neg", "not read topic"),
        *("text text", "id uuid", "title title", "not read url", f"{N} anchors of {N} rows, {N} documents"),
        *(f"positives matched: {N} by without title", "scripts: Latin", "RandomDocuments", f"9 of {N} documents"),
        *(f"positive {TITLES[2]} {BODIES[2]}", f"given negative {TITLES[9]} {BODIES[9]}", "nothing was written"),
    ):
        assert part in said, part
    assert ASKED[3] not in said
    assert not (tmp_path / "out").exists()


def test_nothing_is_written(brought: dict[str, Path], tmp_path: Path) -> None:
    """Neither a folder nor an artefact nor a cache of `datasets`; the store is the same one afterwards."""
    corpus = hfneg.Corpus.from_texts(BODIES)
    cache = Path(datasets.config.HF_DATASETS_CACHE)
    before, where = everything_below(store.root(), cache, tmp_path), os.environ["HFNEG_STORE"]
    recipe = hfneg.Recipe(retrievers=hfneg.RandomDocuments(), k=7)
    for documents in (str(brought["corpus"]), corpus):
        found = hfneg.preview(str(brought["pairs"]), documents, recipe, anchor="asked")
        assert found.anchors == N
    assert Path(datasets.config.HF_DATASETS_CACHE) == cache
    assert everything_below(store.root(), cache, tmp_path) - before == set()
    assert os.environ["HFNEG_STORE"] == where


def test_what_mine_refuses_it_refuses(brought: dict[str, Path], tmp_path: Path) -> None:
    """With the same message and exit code, and the store is the user's again."""
    where = os.environ.get("HFNEG_STORE")
    wrong = as_lines(tmp_path / "w.jsonl", rows_of(question=ASKED, answer=[f"r{i}" for i in range(N)]))
    texts = []
    for more in (["--dry-run"], []):
        code, said = run("mine", wrong, "--corpus", brought["corpus"], "--out", tmp_path / "out", *more)
        assert code == 2
        texts.append(said[said.index("PositiveError") :])
    assert texts[0] == texts[1]
    assert os.environ.get("HFNEG_STORE", where) == where


@pytest.mark.parametrize("kind", ["labels", "classes", "beir"])
def test_other_layouts(kind: str, tmp_path: Path) -> None:
    """What labels and classes were taken for is said; a BEIR folder names itself."""
    recipe = hfneg.Recipe(retrievers=hfneg.RandomDocuments(), k=7)
    settings: dict[str, Any] = {}
    pairs: Any = datasets.Dataset.from_list(rows_of(query=ASKED[:4], passage=BODIES[:4], grade=[2, 1, 2, 2]))
    if kind == "labels":
        settings = {"min_grade": 2}
        expected = ("label", "grade (from 2 on a positive, below a given negative)")
    elif kind == "classes":
        pairs = datasets.Dataset.from_list(rows_of(text=BODIES, intent=[i % 2 for i in range(N)]))
        settings, expected = {"classes": True}, ("class", "intent (of text: 1 others of it for each, all are known)")
    else:
        from test_judgments import folder_of

        pairs = str(folder_of(tmp_path / "b", "t1 0 p-1 1\nt1 0 p-2 0\n"))
        expected = ("read from", f"{pairs} (a BEIR folder)")
    found = hfneg.preview(pairs, None, recipe, **settings)
    assert found.pairs[expected[0]] == expected[1]
    assert all(example.positives for example in found.examples)


def test_scripts_are_told_apart() -> None:
    """By letters, so that a corpus in another script than the anchors is seen."""
    pairs = datasets.Dataset.from_dict({"query": ["Где клапан?"], "positive": ["弁はどこですか valve"]})
    found = hfneg.preview(pairs, None, hfneg.Recipe(retrievers=hfneg.RandomDocuments(), k=1, sampler=hfneg.TakeTop(1)))
    assert {"Cyrillic", "Cjk", "Hiragana", "Latin"} <= set(found.scripts)
    assert abs(sum(found.scripts.values()) - 1) < 0.01
