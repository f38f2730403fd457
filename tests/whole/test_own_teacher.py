"""recipes/own_teacher: what is held out is never trained on, and the quality that is printed is counted right."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import datasets
import numpy as np
import pytest
from hypothesis import given, strategies as st
from places import RECIPES
from properties import examples
from small_models import DEMO, save_teacher

import hfneg

FOLDER = RECIPES / "own_teacher"


@pytest.fixture(scope="module")
def scripts() -> Iterator[tuple[ModuleType, ModuleType]]:
    """train.py and quality.py, imported as a script imports them."""
    sys.path.insert(0, str(FOLDER))
    try:
        yield importlib.import_module("train"), importlib.import_module("quality")
    finally:
        sys.path.remove(str(FOLDER))
        for name in ("train", "quality", "splitting"):
            sys.modules.pop(name, None)


class Trained:
    """One run of the script on the demo collection, and what passed through it."""

    def __init__(self, train: ModuleType, out: Path, base: Path) -> None:
        self.out = out
        self.table: Any = None
        self.judged: Any = None
        with pytest.MonkeyPatch.context() as patch:
            fit, candidates = train.fit, train.candidates
            patch.setattr(train, "fit", lambda table, chosen: fit(self._keep("table", table), chosen))
            patch.setattr(train, "candidates", lambda *given: self._keep("judged", candidates(*given)))
            arguments = f"{DEMO} --out {out} --base {base} --layers 1 --max-length 64 --k 30 --steps 4 --batch-size 8"
            with contextlib.redirect_stdout(io.StringIO()) as said:
                self.quality = train.main([*arguments.split(), "--held-out", "0.2", "--quiet"])
        self.said = said.getvalue()

    def _keep(self, name: str, value: Any) -> Any:
        setattr(self, name, value)
        return value


@pytest.fixture(scope="module")
def trained(scripts: tuple[ModuleType, ModuleType], tmp_path_factory: pytest.TempPathFactory) -> Trained:
    root = tmp_path_factory.mktemp("own")
    return Trained(scripts[0], root / "teacher", save_teacher(root / "base"))


def test_held_out_anchors_and_their_positives_are_not_trained_on(trained: Trained) -> None:
    """Neither a measured anchor nor a positive of one is in the training pairs; both labels are; nothing is lost."""
    anchors, positives = set(trained.judged.anchors), set()
    for document, is_positive in zip(trained.judged.documents, trained.judged.is_positive, strict=True):
        positives |= {document} if is_positive else set()
    assert len(anchors) == trained.quality["held_out"] == trained.quality["measured_anchors"]
    assert 0.1 * 60 <= len(anchors) <= 0.4 * 60
    assert not anchors & set(trained.table["query"])
    assert not positives & set(trained.table["document"])
    assert set(trained.table["label"]) == {0, 1}
    assert len(anchors | set(trained.table["query"])) == 60


def test_the_teacher_is_one_for_mining(trained: Trained, tmp_path: Path) -> None:
    """Its folder loads as CrossEncoderTeacher, on the scale of probabilities; the printed setting mines with it."""
    teacher = hfneg.CrossEncoderTeacher(str(trained.out))
    assert teacher.resolved_scale == "probability"
    (setting,) = re.findall(r'--set "(teacher=.*)"', trained.said)
    recipe = hfneg.Recipe(k=10, filters=hfneg.Margin(relative=0.05, by="score")).with_settings([setting, "sampler.n=2"])
    assert recipe.teacher == teacher
    mined = hfneg.mine(str(DEMO), recipe=recipe, out=tmp_path / "mined")
    assert any(scores for scores in mined["hard_negative_teacher_scores"])


def test_the_quality_is_that_of_the_saved_teacher(trained: Trained) -> None:
    """AUC within anchors equals a count over the pairs by the loaded teacher, of BM25 over the miner's scores."""
    judged = trained.judged
    scores = hfneg.CrossEncoderTeacher(str(trained.out)).score(judged.anchors, judged.documents)
    for name, values in (("teacher", scores), ("bm25", judged.retrieved)):
        each = []
        for anchor in range(len(judged.numbers)):
            own = [i for i in range(len(values)) if judged.owners[i] == anchor]
            above = [values[i] for i in own if judged.is_positive[i]]
            below = [values[i] for i in own if not judged.is_positive[i]]
            each.append(np.mean([(a > b) + (a == b) / 2 for a in above for b in below]))
        said = trained.quality["auc"][name]["within_anchors"]
        assert said["auc"] == pytest.approx(np.mean(each), abs=1e-4)
        assert said["low"] <= said["auc"] <= said["high"]
    assert json.loads((trained.out / "eval" / "quality.json").read_text()) == trained.quality


@examples(60)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 3)), min_size=2, max_size=30).filter(
        lambda rows: any(p and w for _, p, w in rows) and any(not p and w for _, p, w in rows)
    )
)
def test_auc_equals_a_count_over_pairs(
    scripts: tuple[ModuleType, ModuleType], rows: list[tuple[int, bool, int]]
) -> None:
    """A pair that counts w times counts as w pairs; ties count half."""
    scores, positive, weights = (np.array(column) for column in zip(*rows, strict=True))
    above = [s for s, p, w in rows if p for _ in range(w)]
    below = [s for s, p, w in rows if not p for _ in range(w)]
    counted = np.mean([(a > b) + (a == b) / 2 for a in above for b in below])
    found = scripts[1].auc(scores.astype(float), positive.astype(bool), weights.astype(float))
    assert found == pytest.approx(counted)


def anchors_of(positives: dict[str, list[str]]) -> tuple[hfneg.Anchors, datasets.Dataset]:
    rows = {"query": list(positives), "answer": list(positives.values())}
    pairs = datasets.Dataset.from_dict(rows)
    texts = sorted({text for texts in positives.values() for text in texts})
    return hfneg.Anchors(pairs, hfneg.Corpus.from_texts(texts), anchor="query", positive="answer"), pairs


def test_what_hangs_together_is_held_out_together(scripts: tuple[ModuleType, ModuleType]) -> None:
    """Anchors that share a positive, also through a third one, are one component, which is held out whole or not."""
    train = scripts[0]
    chain = {f"query {i}": [f"text {i}", f"text {i + 1}"] for i in range(4)}
    alone = {f"other {i}": [f"page {i}"] for i in range(16)}
    anchors, pairs = anchors_of(chain | alone)
    parts = train.components(anchors)
    assert len(set(parts[:4])) == 1
    assert len(set(parts)) == 17
    for seed in range(20):
        chosen = argparse.Namespace(held_out=0.2, seed=seed, held_out_split=None)
        held = train.held_out(anchors, pairs, parts, None, chosen)
        assert held[:4].all() or not held[:4].any()
        assert 4 <= held.sum() <= 8
    marked = np.array([1, *[0] * 19])
    held = train.held_out(anchors, pairs, parts, marked, argparse.Namespace(held_out_split="test"))
    assert held.tolist() == [True] * 4 + [False] * 16


def test_nothing_can_be_held_out_where_all_hangs_together(scripts: tuple[ModuleType, ModuleType]) -> None:
    """Refused, with the size of the component and what to do."""
    train = scripts[0]
    anchors, pairs = anchors_of({f"query {i}": ["the one text"] for i in range(10)})
    chosen = argparse.Namespace(held_out=0.1, seed=0, held_out_split=None)
    with pytest.raises(SystemExit, match=r"10 of 10 anchors hang together.*--held-out"):
        train.held_out(anchors, pairs, train.components(anchors), None, chosen)
