"""`calibrate(vary="skip")`: the smallest skip for a wished rate, and a rate beside the skip that is as hard."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

import hfneg
from hfneg import cli
from hfneg.cli.printing import calibration
from hfneg.errors import SettingError

ANCHORS, LENGTH, N = 80, 60, 3


class Ranked:
    """Finds an anchor's own documents in their order; "a7 d12 r0" is the thirteenth of the eighth anchor."""

    id = "ranked"

    def search(self, texts: list[str], k: int) -> tuple[Any, Any]:
        own = np.array([int(text.split()[1]) for text in texts])
        rows = own[:, None] * LENGTH + np.arange(min(k, LENGTH))
        return -np.tile(np.arange(rows.shape[1], dtype=np.float32), (len(texts), 1)), rows


class Falling:
    """A reference by which documents are the easier the later they come."""

    id = "falling"
    similarity_fn_name = "cosine"

    def encode(self, texts: list[str]) -> Any:
        places = [
            int(text.split()[1][1:]) if text.startswith("a") and text.split()[1][0] == "d" else 0 for text in texts
        ]
        angles = np.array(places, dtype=np.float32) / 60
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def relevant(text: str) -> bool:
    return text.endswith("r1")


def collection(seed: int) -> tuple[hfneg.Corpus, datasets.Dataset]:
    """The share of relevant documents falls with the rank, from a half."""
    draw = np.random.default_rng(seed)
    flags = draw.random((ANCHORS, LENGTH)) < 0.5 * np.exp(-np.arange(LENGTH) / 12)
    flags[:, 0] = True
    texts = [f"a{a} d{d} r{int(flags[a, d])}" for a in range(ANCHORS) for d in range(LENGTH)]
    corpus = hfneg.Corpus.from_dataset([{"_id": f"{i}", "text": text} for i, text in enumerate(texts)], id="_id")
    rows = [{"query": f"anchor {a} asks", "answer": texts[a * LENGTH]} for a in range(ANCHORS)]
    return corpus, datasets.Dataset.from_list(rows)


def mined(out: Path, seed: int = 1, **slots: Any) -> Path:
    corpus, pairs = collection(seed)
    recipe = hfneg.Recipe(retrievers=[Ranked()], k=LENGTH - 1, sampler=hfneg.TakeTop(N), **slots)
    hfneg.mine(pairs, corpus, recipe, anchor="query", positive="answer", out=out)
    return out


def judged(path: Path) -> list[dict[str, Any]]:
    rows = datasets.load_dataset("json", data_files=str(path), split="train").to_list()
    return [{**row, "relevance": int(relevant(row["document"]))} for row in rows]


def true_rate(folder: Path, skip: int, out: Path) -> float:
    found = hfneg.reselect(folder, filters=[hfneg.RankWindow(skip=skip)], sampler=hfneg.TakeTop(N), out=out)
    texts = [text for row in found for text in row["hard_negatives"]]
    return float(np.mean([relevant(text) for text in texts]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mined(tmp_path_factory.mktemp("skips") / "mined")


@pytest.fixture(scope="module")
def truth(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, float]:
    root = tmp_path_factory.mktemp("truth")
    return {skip: true_rate(folder, skip, root / str(skip)) for skip in (0, 2, 5, 10, 20, 40)}


def test_the_promise_is_kept(folder: Path, truth: dict[int, float], tmp_path: Path) -> None:
    """Of 20 samples of 600 pairs at most one chooses a skip above the target, nearly all choose one, few too large."""
    chosen = []
    for seed in range(20):
        sample = tmp_path / f"{seed}.jsonl"
        hfneg.calibrate(folder, sample=600, out=sample, vary="skip", seed=seed)
        found = hfneg.calibrate(folder, judge=judged(sample), vary="skip", target=0.15)
        assert found.chosen is not None
        chosen.append(found.chosen.value)
        for one in found.settings:
            assert one.negatives == ANCHORS * N
    named = [value for value in chosen if value is not None]
    assert len(named) >= 18
    assert sum(truth[value] >= 0.15 for value in named) <= 1
    least = min(skip for skip, rate in truth.items() if rate < 0.15)
    assert np.median(named) <= 2 * least


def test_the_recipe_line_is_the_skip(folder: Path, tmp_path: Path) -> None:
    """Its filters and sampler, as a recipe reads them; what is reported is the rate of its own negatives."""
    sample = tmp_path / "sample.jsonl"
    hfneg.calibrate(folder, sample=300, out=sample, vary="skip")
    chosen = hfneg.calibrate(folder, judge=judged(sample), vary="skip", target=0.15).chosen
    assert chosen is not None
    recipe = hfneg.Recipe.from_yaml(f"k: 100\n{chosen.recipe}")
    assert recipe.filters == (hfneg.RankWindow(skip=chosen.value),)
    assert recipe.sampler == hfneg.TakeTop(N)
    assert set(yaml.safe_load(chosen.recipe)) == {"filters", "sampler"}
    assert chosen.in_order
    assert chosen.reported.judged <= chosen.chosen_on.judged
    assert chosen.chosen_on.high < 0.15


def test_a_sample_for_skips_is_known_as_one(folder: Path, truth: dict[int, float], tmp_path: Path) -> None:
    """Given back without vary it is read by the strata it was drawn from: of 20 the interval holds the rate in 18."""
    held = 0
    for seed in range(20):
        sample = tmp_path / f"{seed}.jsonl"
        hfneg.calibrate(folder, sample=200, out=sample, vary="skip", seed=seed)
        rate = hfneg.calibrate(folder, judge=judged(sample)).false_negatives
        assert all(one.name.startswith("skip: rank") for one in rate.strata)
        held += rate.low <= truth[0] <= rate.high
    assert held >= 18


def test_without_a_limit_the_skip_is_varied(folder: Path, tmp_path: Path) -> None:
    """A recipe without filters has nothing else to choose."""
    sample = tmp_path / "sample.jsonl"
    hfneg.calibrate(folder, sample=200, out=sample, target=0.2)
    found = hfneg.calibrate(folder, judge=judged(sample), target=0.2)
    assert found.varied == "skip"
    assert [one.value for one in found.settings][:4] == [0, 2, 5, 10]


def test_skips_of_a_folder_with_a_teacher(tmp_path: Path) -> None:
    """They need no score of it, so that a ledger whose teacher was asked on demand does."""

    def grade(anchors: list[str], documents: list[str]) -> list[float]:
        return [float(relevant(document)) for document in documents]

    teacher = hfneg.FunctionTeacher(grade, id="grade", scale="from_zero", positives=False)
    folder = mined(tmp_path / "mined", teacher=teacher, filters=[hfneg.Band(high=0.5, by="teacher")])
    sample = tmp_path / "sample.jsonl"
    hfneg.calibrate(folder, sample=300, out=sample, vary="skip")
    found = hfneg.calibrate(folder, judge=judged(sample), vary="skip", reference=Falling())
    assert found.false_negatives.rate == 0
    assert found.beside is not None
    assert found.beside.ratio == 0
    assert 0 < found.beside.high < 1
    assert found.beside.place == ""


def test_without_an_end_it_is_still_json(tmp_path: Path) -> None:
    """Where skips of no false negative are as hard, the ratio has no upper end: null in JSON, words in the terminal."""
    folder, sample = mined(tmp_path / "mined", filters=[hfneg.RankWindow(skip=40)]), tmp_path / "sample.jsonl"
    hfneg.calibrate(folder, sample=60, out=sample, vary="skip")
    found = hfneg.calibrate(folder, judge=judged(sample), vary="skip", reference=Falling())
    assert found.beside is not None
    assert found.beside.high is None
    assert json.loads(found.to_json())["beside"]["high"] is None
    console = Console(record=True, width=200, file=io.StringIO())
    calibration.report(console, found)
    assert "to any number of) the rate of skipping" in console.export_text()


def test_a_rate_beside_the_skip(folder: Path, tmp_path: Path) -> None:
    """The folder is skip 0 itself: the ratio is 1 or beside it, and its ends hold 1."""
    sample = tmp_path / "sample.jsonl"
    hfneg.calibrate(folder, sample=300, out=sample, vary="skip")
    beside = hfneg.calibrate(folder, judge=judged(sample), vary="skip", reference=Falling()).beside
    assert beside is not None
    assert beside.low <= 1 <= beside.high
    assert beside.ratio == pytest.approx(1, abs=0.35)
    assert beside.skip <= 2


def test_on_the_command_line(folder: Path, tmp_path: Path) -> None:
    """Sample, judge, choose; and a target that no skip reaches names what to do."""
    sample = tmp_path / "sample.jsonl"
    run = CliRunner().invoke
    done = run(cli.app, ["calibrate", str(folder), "--sample", "300", "--out", str(sample), "--vary", "skip"])
    assert done.exit_code == 0, done.output
    filled = tmp_path / "filled.jsonl"
    datasets.Dataset.from_list(judged(sample)).to_json(str(filled))
    words = ["calibrate", str(folder), "--judge", str(filled), "--vary", "skip", "--target"]
    done = run(cli.app, [*words, "0.15"])
    assert done.exit_code == 0, done.output
    assert "chosen for 0.15: skip = " in done.output
    assert "RankWindow(skip=" in done.output
    assert "no value of skip has an upper end below 0.001" in run(cli.app, [*words, "0.001"]).output


@pytest.mark.parametrize("values", [[-1], [1.5], [600], ["two"]])
def test_values_that_are_no_skips(folder: Path, values: list[Any]) -> None:
    """Refused, with what was expected."""
    with pytest.raises(SettingError, match="number of ranks to skip"):
        hfneg.calibrate(folder, vary="skip", values=values)
