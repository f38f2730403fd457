"""``hfneg store``: what it lists, deletes and sets aside."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, load_dataset
from small_models import DEMO, save_encoder
from typer.testing import CliRunner

import hfneg as library
from hfneg import cli
from hfneg.base.hashing import hash_texts
from hfneg.base.store.scores import ScoreStore, pair_keys


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFNEG_STORE", str(tmp_path / "store"))


def hfneg(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli.app, ["store", *words])
    return done.exit_code, done.output


def fill(teacher: str, n: int) -> ScoreStore:
    scores = ScoreStore(teacher)
    keys = pair_keys(hash_texts([f"q{i}" for i in range(n)]), hash_texts([f"d{i}" for i in range(n)]))
    scores.put(keys, np.arange(n, dtype=np.float32))
    return scores


def test_size_lists_each_teacher_with_its_scores() -> None:
    """Every digest stands beside its number of scores; an empty store is no error."""
    assert hfneg("size") == (0, f"0 teachers, 0.0 MB in all, in {os.environ['HFNEG_STORE']}\n")
    fill("aaa", 3)
    fill("bbb", 1234)
    code, shown = hfneg("size")
    assert code == 0
    rows = [line.split()[:2] for line in shown.splitlines()]
    assert ["aaa", "3"] in rows
    assert ["bbb", "1,234"] in rows


def test_prune_deletes_the_named_teacher_only() -> None:
    """Its scores are gone, the other's are there."""
    fill("aaa", 3)
    fill("bbb", 5)
    code, shown = hfneg("prune", "aaa", "--yes")
    assert code == 0
    assert "deleted 3 scores of aaa" in shown
    assert (len(ScoreStore("aaa")), len(ScoreStore("bbb"))) == (0, 5)


def test_prune_by_age_spares_what_is_new() -> None:
    """A teacher scored just now is not older than a day; one whose folder is old is."""
    fill("new", 2)
    old = fill("old", 2)
    os.utime(old.folder, (0, 0))
    code, _ = hfneg("prune", "--older-than", "1", "--yes")
    assert code == 0
    assert (len(ScoreStore("new")), len(ScoreStore("old"))) == (2, 0)


@pytest.mark.parametrize("words", [("prune",), ("prune", "unknown")])
def test_prune_without_a_condition_or_with_an_unknown_teacher_deletes_nothing(words: tuple[str, ...]) -> None:
    """Exit code 2, and all scores are still there."""
    fill("aaa", 3)
    code, _ = hfneg(*words)
    assert code == 2
    assert len(ScoreStore("aaa")) == 3


def test_repair_sets_damaged_files_aside() -> None:
    """A truncated segment is named and set aside; the others' scores are kept."""
    damaged = fill("aaa", 50)
    fill("bbb", 4)
    (segment,) = damaged.folder.glob("*.scores")
    segment.write_bytes(segment.read_bytes()[:-30])
    code, shown = hfneg("repair")
    assert code == 0
    assert f"{segment}.damaged" in shown
    assert shown.endswith("1 damaged file\n")
    assert (len(ScoreStore("aaa")), len(ScoreStore("bbb"))) == (0, 4)


@pytest.fixture
def mined(tmp_path: Path) -> Path:
    """The demo collection mined with BM25 and a small encoder: several kinds are in the store."""
    model = save_encoder(tmp_path / "model")
    library.mine(
        str(DEMO), recipe=library.Recipe(retrievers=[library.BM25(), library.Dense(str(model))]), out=tmp_path / "mined"
    )
    return tmp_path / "mined"


def test_size_lists_every_kind(mined: Path) -> None:
    """What lies in the folder of each kind, in MB, and the sum of all."""
    code, shown = hfneg("size")
    assert code == 0
    rows = {line.split()[0]: line.split()[1:] for line in shown.splitlines() if line.strip()}
    total = 0
    for folder in (path for path in Path(os.environ["HFNEG_STORE"]).iterdir() if path.is_dir()):
        sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.parent != folder]
        artefacts = [path for path in folder.iterdir() if path.is_dir()]
        assert rows[folder.name] == [str(len(artefacts)), f"{sum(sizes) / 1e6:.1f}"]
        total += sum(sizes)
    assert {"anchors", "corpus", "bm25", "vectors"} <= set(rows)
    assert f"{total / 1e6:.1f} MB in all" in shown


def test_clear_deletes_what_is_made_again(mined: Path, tmp_path: Path) -> None:
    """The kind named, then all of them; corpus, anchors and scores stay, and mining again gives the same rows."""
    fill("aaa", 3)
    store = Path(os.environ["HFNEG_STORE"])
    assert hfneg("clear", "vectors", "--older-than", "1", "--yes")[0] == 0
    assert len(list((store / "vectors").iterdir())) > 0
    code, shown = hfneg("clear", "vectors", "--yes")
    assert code == 0
    assert "deleted 2 artefacts of vectors" in shown
    assert not [path for path in (store / "vectors").iterdir() if path.is_dir()]
    assert [path for path in (store / "bm25").iterdir() if path.is_dir()]
    assert hfneg("clear", "--yes")[0] == 0
    assert not [path for path in (store / "bm25").iterdir() if path.is_dir()]
    assert len(ScoreStore("aaa")) == 3
    before = load_dataset(str(mined), split="train")
    recipe = library.Recipe.from_yaml((mined / "recipe.yaml").read_text())
    again = library.mine(str(DEMO), recipe=recipe, out=tmp_path / "again")
    assert again["hard_negative_ids"][:] == before["hard_negative_ids"][:]


@pytest.mark.parametrize("kind", ["corpus", "scores", "vektors"])
def test_clear_refuses_what_stays_and_what_is_not_there(kind: str, mined: Path) -> None:
    """Exit code 2; nothing is deleted, not even of a kind named before it."""
    assert hfneg("clear", "vectors", kind, "--yes")[0] == 2
    assert [path for path in (Path(os.environ["HFNEG_STORE"]) / "vectors").iterdir() if path.is_dir()]


def test_size_as_json_names_the_teachers(tmp_path: Path) -> None:
    """What a script needs: kinds, bytes, and what each teacher is called, as it was mined with; a folder of an earlier
    version has no name. A teacher's name beside its scores hinders neither verify nor prune."""
    texts = [f"fault {i}" for i in range(9)]
    rows = Dataset.from_dict({"q": ["which fault"], "a": texts[:1]})
    teacher = library.FunctionTeacher(
        lambda queries, documents: [len(d) / 99 for d in documents], id="by length", scale="probability"
    )
    recipe = library.Recipe(k=5, teacher=teacher, filters=library.Margin(absolute=0.0), sampler=library.TakeTop(3))
    library.mine(rows, texts, recipe, anchor="q", positive="a", out=tmp_path / "mined")
    fill("earlier", 3)
    code, shown = hfneg("size", "--json")
    assert code == 0
    found = json.loads(shown)
    assert {"corpus", "anchors", "scores"} <= {kind["kind"] for kind in found["kinds"]}
    assert found["nbytes"] == sum(kind["nbytes"] for kind in found["kinds"])
    assert (found["store"], found["not_ours"]) == (os.environ["HFNEG_STORE"], [])
    named = {each["digest"]: (each["name"], each["scores"]) for each in found["teachers"]}
    assert named.pop("earlier") == ("", 3)
    ((digest, (name, count)),) = named.items()
    assert "by length" in name
    assert count >= 3
    assert "by length" in hfneg("size")[1].replace("\n", " ")
    assert hfneg("verify")[0] == 0
    assert hfneg("prune", digest, "--yes")[0] == 0
    assert [each["digest"] for each in json.loads(hfneg("size", "--json")[1])["teachers"]] == ["earlier"]
