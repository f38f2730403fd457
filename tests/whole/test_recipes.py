"""The recipes that come with the project: each is cited, listed, and runs from end to end with small models."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chat_server import ChatServer, asked
from places import ROOT
from small_models import save_encoder, save_teacher

import hfneg
from hfneg.pipeline import recipes
from hfneg.pipeline.recipe_text import STEPS

FOLDER = ROOT / "recipes"
RECIPES = sorted(recipes.FOLDER.glob("*.yaml"))
README = (FOLDER / "README.md").read_text(encoding="utf-8")
DEMO = FOLDER / "demo" / "earthquakes"
DOCUMENTS, ANCHORS = 150, 60
FULL = {"dpr": 1, "ance": 1, "simans": 15, "bge": 15, "e5_mistral": 1, "sfr": 7, "margin_mse": 1, "kl_distillation": 63}
FULL |= {"hard_and_random": 7, "judge": 7}
"""Negatives of every anchor, where nothing that depends on a score is dropped."""

each = pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)


# Small models.


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Folders of a bi-encoder and a cross-encoder; the address of a judge that calls each third document relevant."""
    root = tmp_path_factory.mktemp("small")
    folders = {"dense": str(save_encoder(root / "dense")), "teacher": str(save_teacher(root / "teacher"))}
    server = ChatServer(lambda prompt: f"Grade: {(0, 1, 3)[len(asked(prompt)[1]) % 3]}")
    yield {**folders, "judge": server.url}
    server.close()


def shrunk(recipe: hfneg.Recipe, small: dict[str, str]) -> hfneg.Recipe:
    """The recipe with its models replaced by setting, and no deeper than there are documents."""
    names = {type(step).__name__ for step in recipe.retrievers}
    settings = [f"k={min(recipe.k, DOCUMENTS)}"] if recipe.deeper is None else ["k=30", "deeper=80"]
    settings += [f"retrievers.dense.model={small['dense']}"] if "Dense" in names else []
    if isinstance(recipe.teacher, hfneg.Cascade):
        judges = [dataclasses.replace(judge, url=small["judge"]) for judge in recipe.teacher.teachers]
        recipe = recipe.model_copy(update={"teacher": dataclasses.replace(recipe.teacher, teachers=judges)})
    elif isinstance(recipe.teacher, hfneg.JudgeTeacher):
        settings += [f"teacher.url={small['judge']}"]
    else:
        settings += [f"teacher.model={small['teacher']}"] if recipe.teacher is not None else []
    return recipe.with_settings(settings)


class Run:
    """One recipe over the demo collection."""

    def __init__(self, path: str, small: dict[str, str], out: Path) -> None:
        self.recipe = shrunk(hfneg.Recipe.load(path), small)
        self.mined = hfneg.mine(str(DEMO), recipe=self.recipe, out=out)
        self.rows: list[dict[str, Any]] = self.mined.to_list()
        self.counts = [len(row["hard_negatives"]) for row in self.rows]
        self.verdicts: dict[str, int] = json.loads((out / "summary.json").read_text())["verdicts"]


@pytest.fixture(scope="module")
def run(small: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Each recipe mined once for all tests of this file."""
    done: dict[str, Run] = {}

    def get(name: str) -> Run:
        if name not in done:
            done[name] = Run(name, small, tmp_path_factory.mktemp(name) / "mined")
        return done[name]

    return get


# What is written.


@each
def test_a_recipe_loads_and_says_where_it_comes_from(path: Path) -> None:
    """It reads back as itself, and its head names a paper with its year, or says that it is ours."""
    recipe = hfneg.Recipe.load(path)
    assert hfneg.Recipe.from_yaml(recipe.to_yaml()) == recipe
    text = path.read_text(encoding="utf-8")
    head = "\n".join(line for line in text.splitlines() if line.startswith("#"))
    cited = re.search(r"et al\.", head) and re.search(r"(19|20)\d\d", head)
    assert cited or re.search(r"^# Ours\b", head, re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 120


@each
def test_a_recipe_is_in_the_readme_with_its_steps(path: Path) -> None:
    """Its row links to the file and names each of its retrievers, filters, teacher and sampler; and no other filter."""
    (row,) = [line for line in README.splitlines() if f"](../hfneg/pipeline/recipes/{path.name})" in line]
    recipe = hfneg.Recipe.load(path)
    steps = [*recipe.retrievers, *recipe.filters, recipe.sampler, recipe.teacher, recipe.promote]
    used = {type(step).__name__ for step in steps if step is not None}
    named = set(re.findall(r"`(\w+)`", row.split("|")[-2]))
    assert used <= named <= set(STEPS)
    assert named - used <= {type(recipe.fusion).__name__, type(recipe.short).__name__}


def test_a_paper_is_in_the_readme_with_its_number() -> None:
    """Each arXiv id of a recipe's head is in the README's row, whose figures name a table or say "not verified"."""
    for path in RECIPES:
        if path.stem in ("bm25", "dense", "hybrid", "teacher", "judge", "hard_and_random"):
            continue
        (row,) = [line for line in README.splitlines() if line.startswith(f"| {path.stem} |")]
        found = re.findall(r"arXiv:(\d{4}\.\d{5})", path.read_text(encoding="utf-8"))
        assert set(found) <= set(re.findall(r"arXiv:(\d{4}\.\d{5})", row))
        assert "Table" in row or "not verified" in row


# What is run.


def mined(row: dict[str, Any], name: str) -> list[tuple[float, str]]:
    """(score, source) of the negatives that were mined, without the random ones that fill up."""
    both = zip(row[name], row["hard_negative_sources"], strict=True)
    return [(score, source) for score, source in both if source != "random"]


@each
def test_a_recipe_runs_from_end_to_end(path: Path, run: Any) -> None:
    """On the demo collection: one row per anchor, no known positive among the negatives, and at most n of them.

    Where no teacher decides, every anchor has exactly n: what a margin leaves short is filled up.
    """
    done = run(path.stem)
    n = done.recipe.sampler.n
    assert len(done.rows) == ANCHORS
    for row in done.rows:
        assert not set(row["hard_negatives"]) & {*row["positive"], row["query"]}
        assert len(set(row["hard_negatives"])) == len(row["hard_negatives"]) <= n
    if path.stem in FULL:
        assert n == FULL[path.stem]
        assert set(done.counts) == {n}
    else:  # what the small teacher puts above the positive fills no gap
        taken = [len(mined(row, "hard_negative_scores")) for row in done.rows]
        assert sum(taken) >= ANCHORS  # the small models find something to keep
        assert done.recipe.teacher is not None or set(done.counts) == {n}


def test_rocketqa_keeps_what_the_teacher_finds_improbable(run: Any) -> None:
    """No negative above 0.1; some were; and a candidate is left over only where an anchor has its four."""
    done = run("rocketqa")
    scores = [score for row in done.rows for score, _ in mined(row, "hard_negative_teacher_scores")]
    assert 0 < max(scores) <= 0.1
    assert done.verdicts["band"] > 0


@pytest.mark.parametrize(("name", "of"), [("nv_retriever", ""), ("dense", ""), ("rlhn", "_teacher")])
def test_a_margin_is_five_percent_below_the_least_positive(run: Any, name: str, of: str) -> None:
    """Of the anchor's positives, for each negative; the margin has dropped some candidates."""
    done = run(name)
    for row in done.rows:
        least = np.float32(min(row[f"positive{of}_scores"]))
        limit = least - 0.05 * abs(least) + 1e-6
        assert all(score <= limit for score, _ in mined(row, f"hard_negative{of}_scores"))
    assert done.verdicts["margin"] > 0


def test_windows_leave_the_first_ranks_out(run: Any) -> None:
    """sfr: 30 candidates of every anchor are dropped for their rank; bge: 2; known positives among them apart."""
    for name, skip in (("sfr", 30), ("bge", 2)):
        done = run(name)
        dropped = done.verdicts["rank_window"] + done.verdicts["known_positive"]
        assert skip * ANCHORS <= dropped
        assert done.verdicts["rank_window"] <= skip * ANCHORS + 2 * ANCHORS  # beyond `stop` only what positives shift


def test_hard_and_random_come_by_turns(run: Any) -> None:
    """Both lists give negatives to every anchor, in turns (a place is rank, or rank + 1/2 of the second list), and no
    document of the first three ranks of either is one."""
    for row in run("hard_and_random").rows:
        places = [1 / score for score in row["hard_negative_scores"]]
        assert places == sorted(places)
        assert places[0] > 3.49
        assert {round(place * 2) % 2 for place in places} == {0, 1}


def test_rlhn_makes_positives_of_what_the_judge_puts_above_them(run: Any) -> None:
    """Some anchors have extra positives, at most seven, none of them among its negatives or positives."""
    done = run("rlhn")
    assert any(row["extra_positives"] for row in done.rows)
    for row in done.rows:
        assert len(row["extra_positives"]) <= 7
        assert not set(row["extra_positives"]) & {*row["hard_negatives"], *row["positive"]}


def test_ours_keeps_below_nearly_all_positives(run: Any) -> None:
    """teacher.yaml: each negative scores at most the tenth percentile of all positives, and at most 95% of its own."""
    done = run("teacher")
    positives = np.array([score for row in done.rows for score in row["positive_teacher_scores"]], dtype=np.float32)
    limit = (
        np.quantile(np.unique(positives), 0.1) + 0.02
    )  # of unique pairs: one document is the positive of two anchors
    assert all(score <= limit for row in done.rows for score, _ in mined(row, "hard_negative_teacher_scores"))
    assert done.verdicts["among_positives"] > 0


def test_two_judges_make_positives_of_what_both_call_relevant(run: Any) -> None:
    """rlhn_judges: what is promoted was graded 3 (the small judge's by length), and no negative was graded 2 or 3."""
    done = run("rlhn_judges")
    assert any(row["extra_positives"] for row in done.rows)
    for row in done.rows:
        assert all(len(text) % 3 == 2 for text in row["extra_positives"])
        assert all(len(text) % 3 != 2 for text in row["hard_negatives"])


def test_the_judge_lets_no_relevant_one_through(run: Any) -> None:
    """Of what it has graded 2 or 3 nothing is a negative, and most that it was asked about were taken."""
    done = run("judge")
    assert all(len(text) % 3 != 2 for row in done.rows for text in row["hard_negatives"])
    assert done.verdicts["band"] > 0
    assert done.verdicts["not_examined"] > done.verdicts["selected"]


def test_distillation_recipes_give_their_losses_rows(run: Any) -> None:
    """margin_mse: two documents and logits; kl_distillation: 64 of each, aligned with the columns of the mined rows."""
    pairs = hfneg.formats.margin_mse(run("margin_mse").mined, anchor="query", positive="positive", positives="first")
    assert {len(label) for label in pairs["label"]} == {2}
    done = run("kl_distillation")
    many = hfneg.formats.distillation(done.mined, anchor="query", positive="positive", positives="first")
    assert len(many.column_names) == 1 + 64 + 1
    assert {len(label) for label in many["label"]} == {64}
    assert many[0]["label"][1:] == done.rows[0]["hard_negative_teacher_scores"]
    assert min(min(label) for label in many["label"]) < 0  # logits
