"""recipes/effect: every row of the table trains, what is measured is counted right, and finished seeds are kept."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from places import RECIPES
from properties import examples
from small_models import DEMO, save_encoder, save_teacher

FOLDER = RECIPES / "effect"
NAMES = ("effect", "comparing", "students", "arms", "collection")


@pytest.fixture(scope="module")
def scripts() -> Iterator[SimpleNamespace]:
    """The modules, imported as a script imports them."""
    sys.path.insert(0, str(FOLDER))
    try:
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in NAMES})
    finally:
        sys.path.remove(str(FOLDER))
        for name in NAMES:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo collection with every third anchor for the test, a miner and a teacher."""
    root = tmp_path_factory.mktemp("effect")
    shutil.copytree(DEMO, root / "quakes")
    head, *lines = (DEMO / "qrels" / "train.tsv").read_text().splitlines()
    for name, rest in (("test", {0}), ("train", {1, 2})):
        chosen = [line for line in lines if int(line.split("\t")[0].lstrip("q")) % 3 in rest]
        (root / "quakes" / "qrels" / f"{name}.tsv").write_text("\n".join([head, *chosen]) + "\n")
    known = (DEMO / "unlabelled.tsv").read_text().splitlines()[1:]
    (root / "quakes" / "truth.tsv").write_text("".join(f"{line}\t1\n" for line in known))
    save_encoder(root / "miner")
    save_teacher(root / "teacher")
    return root


def table(scripts: SimpleNamespace, place: Path, work: Path, *more: str) -> str:
    miner = str(place / "miner")
    chosen = [
        str(place / "quakes"),
        "--miner",
        miner,
        "--student",
        miner,
        "--work",
        str(work),
        "--batch",
        "8",
        "--rate",
        "0.1",
    ]
    with contextlib.redirect_stdout(io.StringIO()) as said:
        scripts.effect.main([*chosen, "--seeds", "2", "--epochs", "2", "--negatives", "3", *more])
    return said.getvalue()


def test_every_row(scripts: SimpleNamespace, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows stand in the table with metrics, negatives per row and rows; the peer's are compared with ours."""
    monkeypatch.setattr(scripts.arms, "TOKENS", 64)
    more = ("--teacher", str(place / "teacher"), "--seeds", "1", "--epochs", "1")
    said = table(scripts, place, tmp_path / "work", *more)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in said.splitlines() if line.startswith("| (")]
    assert [row[0] for row in rows] == [arm.name for arm in scripts.arms.arms("m", "t", 3)]
    for row in rows:
        assert all(0 <= float(value) <= 1 for value in row[1:4])
        assert float(row[8]) == (0 if row[0].startswith("(a)") else 3)
        # 52 pairs; margins and teachers may leave an anchor short, and its rows out
        assert int(row[9]) == 52 or (row[0][1] in "fkhij" and 30 < int(row[9]) < 52)
    assert all("hfneg" in arm.name for arm in scripts.arms.arms("m", "t", 3) if arm.rounds > 1)  # can be our best
    assert said.count("mine_hard_negatives") == 3 * 5  # in progress, the table, and against our best
    again = table(scripts, place, tmp_path / "work", *more)
    assert again[again.index("\nuntrained") :] == said[said.index("\nuntrained") :]


def test_finished_seeds_are_not_trained_again(
    scripts: SimpleNamespace, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was cut off goes on with the seed it was in; other settings begin anew."""
    trained: list[int] = []
    train = scripts.students.train

    def cut_off(*given: Any, **more: Any) -> Any:
        trained.append(given[4])
        if len(trained) == 2:
            raise KeyboardInterrupt
        return train(*given, **more)

    monkeypatch.setattr(scripts.students, "train", cut_off)
    with pytest.raises(KeyboardInterrupt):
        table(scripts, place, tmp_path, "--rows", "b")
    table(scripts, place, tmp_path, "--rows", "b")
    assert trained == [0, 1, 1]
    table(scripts, place, tmp_path, "--rows", "b", "--rate", "0.05")
    assert trained == [0, 1, 1, 0, 1]


def test_false_negatives_are_those_truth_knows(scripts: SimpleNamespace, place: Path, tmp_path: Path) -> None:
    """The share that the planted unlabelled positives make of BM25's top, counted again from the files."""
    truth = place / "quakes" / "truth.tsv"
    table(scripts, place, tmp_path, "--rows", "c", "--negatives", "10", "--truth", str(truth))
    (kept,) = tmp_path.glob("quakes--c-*/seed-0.json")
    facts = json.loads(kept.read_text())["facts"]
    from datasets import load_dataset

    mined = load_dataset(str(kept.parent / "mined"), split="train")
    known = {tuple(line.split("\t")[:2]) for line in truth.read_text().splitlines()[1:]}
    texts = {row["text"]: row["_id"] for row in map(json.loads, (place / "quakes" / "queries.jsonl").open())}
    ids = [(texts[row["query"]], document) for row in mined for document in row["hard_negative_ids"]]
    assert facts["false"] == pytest.approx(np.mean([pair in known for pair in ids]))
    assert facts["false"] > 0


def test_remembered_texts_are_split_alike(scripts: SimpleNamespace, place: Path) -> None:
    """A static model that remembers gives the vectors of one that does not, bit for bit, also the second time."""
    from sentence_transformers import SentenceTransformer

    texts = ["Where did the ground shake?", "Lisbon 1755", "Where did the ground shake?"]
    expected = SentenceTransformer(str(place / "miner")).encode(texts)
    model = scripts.students.load(str(place / "miner"))
    for _ in range(2):
        assert np.array_equal(model.encode(texts), expected)


def test_metrics_by_hand(scripts: SimpleNamespace) -> None:
    """Grades 2 and 1 at ranks 3 and 1; one relevant at rank 11; none found."""
    found = np.array([np.arange(100)] * 3)
    values = scripts.comparing.metrics(found, [{2: 2.0, 0: 1.0}, {10: 1.0}, {500: 1.0, 501: 1.0}])
    ideal = 2 / np.log2(2) + 1 / np.log2(3)
    assert values["nDCG@10"] == pytest.approx([(1 / np.log2(2) + 2 / np.log2(4)) / ideal, 0, 0])
    assert values["recall@100"].tolist() == [1, 1, 0]
    assert values["MRR@10"].tolist() == [1, 0, 0]


def test_intervals_cover_seeds_and_queries(scripts: SimpleNamespace) -> None:
    """Where only seeds differ the interval is that of the seeds' mean; a row that is no better is not called so."""
    random = np.random.default_rng(0)
    shifts = random.normal(0.02, 0.01, 10)
    base = random.random((10, 300))
    rows = {"base": base, "better": base + shifts[:, None], "same": base + random.normal(0, 0.1, (10, 300))}
    found = scripts.comparing.compared(rows, "base")
    half = 1.96 * shifts.std() / np.sqrt(10)
    assert found["better"]["low"] == pytest.approx(shifts.mean() - half, abs=0.25 * half)
    assert found["better"]["high"] == pytest.approx(shifts.mean() + half, abs=0.25 * half)
    assert found["better"]["p_holm"] < 0.01 < found["same"]["p_holm"]


@examples(50)
@given(st.lists(st.floats(0.0001, 1), min_size=1, max_size=8))
def test_holm_equals_its_definition(scripts: SimpleNamespace, values: list[float]) -> None:
    """p of each row: the largest of (m - i) p_i over the rows that are no larger, at most 1."""
    found = scripts.comparing.holm({str(i): {"p": value} for i, value in enumerate(values)})
    order = sorted(values)
    for i, value in enumerate(values):
        steps = [(len(values) - j) * other for j, other in enumerate(order) if other <= value]
        expected = {min(1.0, max(steps[: stop + 1])) for stop in range(len(steps))}
        assert any(found[str(i)]["p_holm"] == pytest.approx(one) for one in expected)
