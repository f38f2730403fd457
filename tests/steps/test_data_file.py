"""`DataFile`: other content is another step, for the cache of `datasets`, for a resumed run, and in other processes."""

from __future__ import annotations

import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset, load_from_disk
from datasets.fingerprint import Hasher

import hfneg
from hfneg.errors import ProcessError, ResumeError, SettingError

DOCUMENTS = ["a fault slips", "a fault creeps", "a fault breaks", "a fault rests"]


@dataclass(frozen=True)
class NotListed(hfneg.Filter):
    """In an importable module, which pickles by its name: nothing but its fields can say what it reads."""

    listed: Any
    verdict = "listed"

    def keep(self, pool: Any) -> Any:
        lines = set(self.listed.read_text().splitlines())
        return np.array([text not in lines for text in pool.corpus.texts(pool.rows).to_pylist()], dtype=bool)


def recipe(path: Path) -> hfneg.Recipe:
    filters = [NotListed(hfneg.DataFile(str(path)))]
    return hfneg.Recipe(k=4, filters=filters, sampler=hfneg.TakeTop(3), guard=hfneg.Guard(near_duplicate=None))


def test_changed_data_is_not_answered_from_the_cache(tmp_path: Path) -> None:
    """`.map` over a dataset on disk is cached while the file stays, and made again when its content changes."""
    Dataset.from_dict({"q": ["what slips in a fault"], "a": ["a fault slips"]}).save_to_disk(str(tmp_path / "pairs"))
    path = tmp_path / "listed.txt"
    found = []
    for content in ("a fault creeps", "a fault creeps", "a fault breaks"):
        path.write_text(content)
        pairs = load_from_disk(str(tmp_path / "pairs"))
        anchors = hfneg.Anchors(pairs, hfneg.Corpus.from_texts(DOCUMENTS), anchor="q", positive="a")
        mined = pairs.map(recipe(path).transform(anchors), batched=True)
        found.append((mined._fingerprint, sorted(mined[0]["hard_negatives"])))
    assert found[0] == found[1]
    assert found[0][1] == ["a fault breaks", "a fault rests"]
    assert found[2][1] == ["a fault creeps", "a fault rests"]


def test_a_run_is_not_gone_on_with_other_data(tmp_path: Path) -> None:
    """`mine(resume=True)` refuses a folder that was mined with other content."""
    path, pairs = tmp_path / "listed.txt", Dataset.from_dict({"q": ["what slips"], "a": ["a fault slips"]})
    path.write_text("a fault creeps")
    given: dict[str, Any] = {"anchor": "q", "positive": "a", "out": tmp_path / "out"}
    hfneg.mine(pairs, DOCUMENTS, recipe(path), **given)
    hfneg.mine(pairs, DOCUMENTS, recipe(path), **given, resume=True)
    path.write_text("a fault breaks")
    with pytest.raises(ResumeError):
        hfneg.mine(pairs, DOCUMENTS, recipe(path), **given, resume=True)


def test_it_travels_with_its_digest(tmp_path: Path) -> None:
    """The pickle is small, its hash is that of the content, and a copy refuses content of another kind."""
    path = tmp_path / "big.txt"
    path.write_text("x" * 100_000)
    data = hfneg.DataFile(str(path))
    before, sent = Hasher.hash(data), pickle.dumps(data)
    assert len(sent) < 500
    assert pickle.loads(sent).read_text() == path.read_text()
    path.write_text("y" * 100_001)
    assert Hasher.hash(data) != before
    with pytest.raises(ProcessError, match="content has changed"):
        pickle.loads(sent).read_bytes()


def test_it_is_recipe_text(tmp_path: Path) -> None:
    """A recipe with it is written and read back."""
    path = tmp_path / "listed.txt"
    path.write_text("a")
    sys.modules.setdefault(NotListed.__module__, sys.modules[__name__])
    made = recipe(path)
    assert hfneg.Recipe.from_yaml(made.to_yaml(), trust=True) == made
    assert repr(hfneg.DataFile(str(path))) == f"DataFile(path={str(path)!r})"


@pytest.mark.parametrize("path", ["nowhere.txt", 3, "."])
def test_no_file(path: Any) -> None:
    """Refused when it is built."""
    with pytest.raises(SettingError, match="no such file"):
        hfneg.DataFile(path)
