"""A folder that an earlier version mined opens, replays, is looked back at and published, with the values of then.

``earlier/mined`` was written by hfneg 0.1.0 of 27 November 2026, before the package was rebuilt, from the demo's
questions; ``earlier/expected.json`` holds what that version made of it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from datasets import load_dataset
from places import RECIPES

import hfneg

HERE = Path(__file__).parent
DEMO = RECIPES / "demo" / "earthquakes"
EXPECTED = json.loads((HERE / "earlier" / "expected.json").read_text())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(HERE / "earlier" / "mined", tmp_path / "mined"))


@pytest.fixture(scope="module")
def corpus() -> Any:
    return hfneg.load_pairs(str(DEMO)).corpus


def rows(mined: Any) -> list[Any]:
    return [[list(row["hard_negative_ids"]), [float(x) for x in row["hard_negative_scores"]]] for row in mined]


def test_it_opens(folder: Path) -> None:
    """As a dataset, as a summary, and trainers' formats know its columns."""
    mined = load_dataset(str(folder), split="train")
    assert len(mined) == 60
    assert hfneg.open_summary(folder)["anchors"] == 60
    assert hfneg.formats.triplets(mined).column_names == ["query", "positive", "negative"]


def test_another_policy_is_replayed_over_it(folder: Path, corpus: Any, tmp_path: Path) -> None:
    """Two policies, one of them with the teacher's scores of then: the same negatives."""
    margin = hfneg.reselect(folder, settings=["filters.margin.relative=0.2"], corpus=corpus, out=tmp_path / "a")
    assert rows(margin) == EXPECTED["margin"]
    policy: dict[str, Any] = {"filters": [hfneg.RankWindow(skip=3)], "short": hfneg.Keep()}
    window = hfneg.reselect(folder, **policy, sampler=hfneg.TakeRandom(2, seed=5), corpus=corpus, out=tmp_path / "b")
    assert rows(window) == EXPECTED["window"]
    hfneg.reselect(folder, **policy, sampler=hfneg.TakeTop(3), corpus=corpus, out=tmp_path / "later")
    found = json.loads(hfneg.diff(folder, tmp_path / "later").to_json())
    assert {name: found[name] for name in EXPECTED["diff"] if name != "hfneg"} == {
        name: value for name, value in EXPECTED["diff"].items() if name != "hfneg"
    }


def test_it_is_looked_back_at(folder: Path, corpus: Any) -> None:
    """The rate of leaks, the bound on false negatives, and the page."""
    assert str(hfneg.leak_rate(folder, corpus=corpus)) == EXPECTED["leak"]
    found = json.loads(hfneg.calibrate(folder, corpus=corpus).to_json())
    assert {name: found[name] for name in EXPECTED["calibrate"]} == EXPECTED["calibrate"]
    assert hfneg.report(folder, corpus=corpus).stat().st_size > 50_000
    assert hfneg.audit(folder).rows == 60


def test_it_is_published(folder: Path, corpus: Any, tmp_path: Path, client: Any) -> None:
    """The repository that would be made has its rows, its ledger and its provenance."""
    client(hfneg.publish, folder, "org/earlier", dry_run=tmp_path / "look", license="mit", corpus=corpus)
    facts = json.loads(next((tmp_path / "look").rglob("provenance.json")).read_text())
    assert facts["counts"]["anchors"] == 60
    assert facts["recipe"].startswith("retrievers:")
