"""Damaged files are never used without a word: what comes out is what would have, or an error that names the file."""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import faults
import numpy as np
import pyarrow.parquet as pq
import pytest
import small_collection as small
from places import SUPPORT
from typer.testing import CliRunner
from word_teacher import WordTeacher

import hfneg
from hfneg import cli
from hfneg.base.files import checksums
from hfneg.base.store import old_files, whole as upkeep
from hfneg.base.store.scores import ScoreStore
from hfneg.runs import examine, units
from hfneg.runs.folder.work_area import RunFolder
from hfneg.training import live, round as record

SCRIPT = SUPPORT / "damage_the_store.py"
KINDS = {"corpus", "anchors", "bm25", "vectors", "faiss", "clusters", "near_anchors", "co_positives", "candidates"}


# The store.


def cases(folder: Path, *options: str) -> list[dict[str, Any]]:
    """What damage_the_store.py says of each."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), "5", *options], capture_output=True, text=True, timeout=600
    )
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"{said[-1:]} ended the process: {done.stderr[-2000:]}"
    return said


def test_no_damage_to_any_file_of_the_store_changes_a_value(tmp_path: Path) -> None:
    """Every file of every kind, in ten ways: a run makes it again and sets it aside; a digest alone gives the value or
    an error that names the file. Scores, which cost money, are only made again by `store repair`."""
    found = [case for case in cases(tmp_path) if "in_a_run" in case]
    assert {case["kind"] for case in found} == {*KINDS, "scores"}
    assert len(found) > 400
    for case in found:
        again = {"named", "equal"} if case["kind"] == "scores" else {"equal"}
        assert case["in_a_run"] in again, case
        assert case.get("by_digest", "equal") in ("equal", "named"), case
        gone = case["fault"] == "missing" and (case["kind"] == "vectors" or case["file"] == checksums.MANIFEST)
        if case["kind"] != "scores" and not gone and case["file"] != "vectors.json":
            assert case["aside"] > 0, case


def test_a_store_without_checksums_opens(tmp_path: Path) -> None:
    """One of an earlier version gives the same values and is not touched; wrong sizes are noticed there, too."""
    first, *found = cases(tmp_path, "--old")
    assert first == {"untouched": True}
    for case in found:
        if "in_a_run" in case:
            again = {"named", "equal"} if case["kind"] == "scores" else {"equal"}
            assert case["in_a_run"] in again, case
            assert case.get("by_digest", "equal") in ("equal", "named"), case


@pytest.fixture
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HFNEG_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


def say(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli.app, [*map(str, words)])
    return done.exit_code, done.output


def used(store: Path) -> dict[str, Path]:
    """A store with a few kinds in it; one file of each."""
    corpus = hfneg.Corpus.from_texts(small.documents(40))
    hfneg.BM25().open(corpus)
    hfneg.Dense(small.HashEncoder()).open(corpus).vectors.build()
    keys = np.zeros(3, dtype=[("high", "<u8"), ("low", "<u8")])
    keys["high"] = range(3)
    ScoreStore("teacher").put(keys, [1.0, 2.0, 3.0])
    patterns = {"corpus": "*/texts.bytes", "bm25": "*/data.npy", "vectors": "*/part-*.npy", "scores": "*/*.scores"}
    return {kind: next((store / kind).glob(pattern)) for kind, pattern in patterns.items()}


def rot(path: Path) -> None:
    """One bit, in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def test_verify_names_what_repair_sets_aside(own_store: Path) -> None:
    """Exit code 0 where all is whole, 4 where not; each damaged file is named; after repair nothing is damaged, and
    what was is still there under another name."""
    files = used(own_store)
    code, shown = say("store", "verify")
    assert code == 0, shown
    assert "all is as it was written" in shown
    for path in files.values():
        rot(path)
    code, shown = say("store", "verify")
    assert code == 4
    assert "4 damaged files" in shown
    for path in files.values():
        assert f"{path} is damaged (" in shown
    assert all(path.exists() for path in files.values()), "verify changes nothing"
    code, shown = say("store", "repair")
    assert code == 0
    assert shown.endswith("4 damaged files\n")
    for kind, path in files.items():
        aside = path if kind in ("vectors", "scores") else path.parent
        assert f"set aside: {aside}.damaged ({upkeep.SetAside(kind, path).again})" in shown
        assert not path.exists()
        assert aside.with_name(f"{aside.name}.damaged").exists()
    code, shown = say("store", "verify")
    assert code == 0
    assert "4 set aside earlier" in shown


def test_checksums_can_be_added_to_what_has_none(own_store: Path) -> None:
    """verify says how many artefacts lack them; with --add they get some, and then a flipped bit is noticed."""
    files = used(own_store)
    for manifest in own_store.rglob(checksums.MANIFEST):
        manifest.unlink()
    part = files["vectors"]
    part.write_bytes(part.read_bytes()[: -checksums.SEAL_BYTES])
    code, shown = say("store", "verify")
    assert code == 0
    assert "3 artefacts of an earlier version without checksums" in shown
    code, shown = say("store", "verify", "--add")
    assert code == 0
    assert "checksums added to 3 artefacts" in shown
    assert "without checksums:" not in shown
    for path in files.values():
        rot(path)
    assert "4 damaged files" in say("store", "verify")[1]


def test_verify_of_a_store_that_is_not_there(own_store: Path) -> None:
    """Nothing is damaged, and nothing is made."""
    assert say("store", "verify") == (0, "all is as it was written\n")
    assert not own_store.exists()


def test_what_is_damaged_is_said_once_and_kept(own_store: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One warning names the file and where it is now; a second damage does not overwrite the first."""
    path = used(own_store)["corpus"]
    for number in ("", "-2"):
        caplog.clear()
        rot(path)
        hfneg.Corpus.from_texts(small.documents(40))
        (record,) = caplog.records
        assert record.getMessage() == (
            f"{path} is damaged (its checksum differs); set aside as {path.parent}.damaged{number}"
        )
        assert (path.parent.with_name(f"{path.parent.name}.damaged{number}") / path.name).exists()


def test_a_file_is_read_once_per_process(own_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its content is compared at its first use; after that its size and the time of its last change are looked at."""
    path = used(own_store)["corpus"]
    for file in path.parent.iterdir():
        os.utime(file, (1, 1))  # long ago
    read: list[Path] = []
    digest_of = checksums.digest_of
    monkeypatch.setattr(checksums, "digest_of", lambda path, nbytes: read.append(path) or digest_of(path, nbytes))
    for _ in range(3):
        _ = len(hfneg.Corpus(path.parent.name))
    assert sorted(read) == sorted(file for file in path.parent.iterdir() if file.name != checksums.MANIFEST)
    rot(path)
    with pytest.raises(hfneg.DamagedError, match=str(path)):
        _ = len(hfneg.Corpus(path.parent.name))


def test_postings_of_an_earlier_version_cannot_end_the_process(own_store: Path) -> None:
    """Without checksums a row or a posting that does not exist is an error: the kernels would read anywhere."""
    path = used(own_store)["bm25"]
    corpus = hfneg.Corpus.from_texts(small.documents(40))
    (path.parent / checksums.MANIFEST).unlink()
    for name, wrong in (("indices", 1 << 30), ("indptr", 1 << 40)):
        array = np.load(path.with_name(f"{name}.npy"))
        kept = array.copy()
        array[1] = wrong
        np.save(path.with_name(f"{name}.npy"), array)
        with pytest.raises(hfneg.DamagedError, match="its postings point outside of it"):
            hfneg.BM25().open(corpus).search(["fault"], 3)
        np.save(path.with_name(f"{name}.npy"), kept)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_of_somebody_else_is_not_damaged(own_store: Path) -> None:
    """What may not be read is an error, and stays where it is."""
    path = used(own_store)["corpus"]
    path.chmod(0)
    with pytest.raises(hfneg.StoreError, match="cannot read"):
        hfneg.Corpus.from_texts(small.documents(40))
    path.chmod(0o600)
    assert path.exists()


# A run that was cut off.


RECIPE = hfneg.Recipe(
    retrievers=[hfneg.BM25(), hfneg.Dense(small.HashEncoder())],
    teacher=WordTeacher(),
    filters=[hfneg.Hubs(3), hfneg.Margin(relative=0.05)],
    sampler=hfneg.TakeTop(3),
    k=5,
    deeper=20,
)


SIMPLE = hfneg.Recipe(retrievers=hfneg.BM25(), sampler=hfneg.TakeTop(3), k=8)


def mine(out: Path, recipe: hfneg.Recipe = RECIPE, **options: Any) -> dict[str, Any]:
    hfneg.mine(small.pairs(), small.documents(), recipe, anchor="query", positive="answer", out=out, **options)
    return contents(out)


def contents(out: Path) -> dict[str, Any]:
    """All values of a mined folder, read without a cache; but for how many scores were in the store already."""
    tables = {str(path.relative_to(out)): pq.read_table(path) for path in sorted(out.glob("*/*.parquet"))}
    found: dict[str, Any] = {n: {c: small.bits(t[c]) for c in t.column_names} for n, t in tables.items()}
    for name in ("summary.json", "statistics.json"):
        found[name] = json.loads((out / name).read_text(), object_pairs_hook=without_calls)
    return {**found, "recipe.yaml": (out / "recipe.yaml").read_text()}


def without_calls(facts: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in facts if name not in ("pairs_asked", "pairs_from_store", "checksum")}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "mined"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(units, "PART", 40)
        mine(out)
    return out


class CutOffError(Exception):
    pass


@pytest.fixture(scope="module")
def cut_off(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has done all but to move its results to their place."""

    def stop(self: RunFolder) -> None:
        raise CutOffError

    out = tmp_path_factory.mktemp("cut") / "mined"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(units, "PART", 40)
        patch.setattr(RunFolder, "_move", stop)
        with pytest.raises(CutOffError):
            mine(out)
    (out / ".hfneg" / "finished" / "summary.json").unlink()
    return out


def work_files(out: Path) -> list[str]:
    return sorted(str(path.relative_to(out)) for path in (out / ".hfneg").rglob("*") if path.is_file())


def test_a_damaged_part_of_a_run_is_made_again(
    finished: Path, cut_off: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Any file of the work area, in one way each: the resumed run ends with what an undisturbed one has, and says what
    it has made again, unless it is written anew in any case. Files of a stage are looked at where its results are not
    gathered yet."""
    monkeypatch.setattr(units, "PART", 40)
    logging.getLogger("hfneg").setLevel(logging.WARNING)
    expected, draw, names = contents(finished), random.Random(3), work_files(cut_off)
    assert {name.split("/")[1] for name in names} >= {
        *("run.json", "search", "judged", "deeper", "tallies", "hubs", "selected", "ledger", "gathered"),
        *("counts", "finished"),
    }
    always = ("recipe.yaml", "README.md", checksums.MANIFEST)
    for number, name in enumerate(names):
        out = Path(shutil.copytree(cut_off, tmp_path / str(number) / "mined"))
        fault = draw.choice(faults.ALL)
        if not faults.damage(out / name, fault, draw):
            continue
        if name.split("/")[1] not in ("gathered", "counts", "finished"):
            (out / ".hfneg" / "gathered" / "done").unlink()
        caplog.clear()
        assert mine(out, resume=True) == expected, (name, fault)
        warned = [record.getMessage() for record in caplog.records if "damaged" in record.getMessage()]
        if fault != "missing" and not name.endswith(always):
            assert any(name in line for line in warned), (name, fault, warned)
        assert not (out / ".hfneg").exists()
        assert not [path for name in ("data", "ledger") for path in (out / name).glob("*.damaged*")]


def test_a_part_that_is_damaged_while_the_run_works_is_an_error(
    cut_off: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the file and says to resume; resuming makes it again."""
    monkeypatch.setattr(units, "PART", 40)
    out = Path(shutil.copytree(cut_off, tmp_path / "mined"))
    shutil.rmtree(out / ".hfneg" / "gathered")
    found = units.Parts.missing

    def then_rot(self: units.Parts, folder: Path, suffix: str) -> list[int]:
        missing = found(self, folder, suffix)
        if folder.name == "ledger":
            rot(folder / "000000.parquet")
        return missing

    with monkeypatch.context() as patch:
        patch.setattr(units.Parts, "missing", then_rot)
        with pytest.raises(hfneg.DamagedError, match=r"ledger/000000\.parquet is damaged .*resume=True"):
            mine(out, resume=True)
    mine(out, resume=True)


# A finished folder.


@pytest.fixture(scope="module")
def simple(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simple") / "mined"
    mine(out, SIMPLE)
    return out


def resume(out: Path, tmp_path: Path) -> Any:
    return mine(out, SIMPLE, resume=True)


def audit(out: Path, tmp_path: Path) -> Any:
    return hfneg.audit(str(out)).to_dict()


def push(out: Path, tmp_path: Path) -> Any:
    look = tmp_path / "look"
    shutil.rmtree(look, ignore_errors=True)
    hfneg.publish(out, "org/name", dry_run=look, license="mit", audit=False)
    return {str(path.relative_to(look)): path.read_bytes() for path in look.rglob("*.parquet")}


def select(out: Path, tmp_path: Path) -> Any:
    hfneg.reselect(out, sampler=hfneg.TakeTop(2), out=tmp_path / "chosen", overwrite=True)
    return contents(tmp_path / "chosen")["data/train-00000-of-00001.parquet"]


def report(out: Path, tmp_path: Path) -> Any:
    return hfneg.report(out, tmp_path / "page.html", overwrite=True).read_text()


def diff(out: Path, tmp_path: Path) -> Any:
    return hfneg.diff(out, out).as_dict()


COMMANDS: dict[str, Callable[[Path, Path], Any]] = {
    "resume": resume,
    "audit": audit,
    "push": push,
    "select": select,
    "report": report,
    "diff": diff,
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_damaged_finished_folder_is_said(
    command: str, simple: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any file of it but the card: the command gives what it gives for the whole folder, or an error naming the file.

    `resume`, `audit` and `push` say so whatever file of rows or ledger it is.
    """
    draw, run = random.Random(command), COMMANDS[command]
    expected = run(Path(shutil.copytree(simple, tmp_path / "mined")), tmp_path)
    for path in sorted(simple.rglob("*")):
        if path.is_dir() or path.name == "README.md":
            continue
        name = str(path.relative_to(simple))
        for fault in ("a bit flipped", draw.choice(faults.ALL)):
            shutil.rmtree(tmp_path / "mined")
            monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache" / name / fault)
            out = Path(shutil.copytree(simple, tmp_path / "mined"))
            faults.damage(out / name, fault, draw)
            found, said = outcome(run, out, tmp_path)
            if said is None:
                assert not (path.suffix == ".parquet" and command in ("resume", "audit", "push")), (name, fault)
                assert found == expected, (name, fault)
            else:
                assert str(out / name) in said or (name == "summary.json" and f"no {name}" in said), (name, fault, said)


def outcome(run: Callable[[Path, Path], Any], out: Path, tmp_path: Path) -> tuple[Any, str | None]:
    """What the command gives, or what its error says."""
    try:
        return run(out, tmp_path), None
    except (hfneg.InputError, hfneg.OutputError) as error:
        return None, str(error)


@pytest.mark.parametrize("command", COMMANDS)
def test_what_users_change_is_no_damage(command: str, simple: Path, tmp_path: Path) -> None:
    """An edited card and files of their own; nor is a folder of a version that kept no checksums."""
    out, run = Path(shutil.copytree(simple, tmp_path / "mined")), COMMANDS[command]
    (out / "README.md").write_text((out / "README.md").read_text() + "\nThese are mine.\n")
    (out / "notes.txt").write_text("mine")
    run(out, tmp_path)
    (out / checksums.MANIFEST).unlink()
    for name in ("summary.json", "statistics.json"):
        facts = json.loads((out / name).read_text())
        del facts["checksum"]
        (out / name).write_text(json.dumps(facts))
    run(out, tmp_path)


def test_a_folder_whose_summary_is_damaged_can_be_mined_again(simple: Path, tmp_path: Path) -> None:
    """With overwrite; a folder with a file of somebody else's by the name of our list of checksums is refused."""
    out = Path(shutil.copytree(simple, tmp_path / "mined"))
    rot(out / "summary.json")
    with pytest.raises(hfneg.OutputError, match=r"summary\.json is missing or damaged.*overwrite"):
        mine(out, SIMPLE, resume=True)
    assert mine(out, SIMPLE, overwrite=True) == contents(simple)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for content in ("{}", json.dumps(checksums.signed({"files": {"a": []}})), "no JSON"):
        (foreign / checksums.MANIFEST).write_text(content)
        with pytest.raises(hfneg.OutputExistsError, match="hfneg did not write"):
            mine(foreign, SIMPLE, overwrite=True)
        assert (foreign / checksums.MANIFEST).read_text() == content


def test_a_recipe_that_is_not_what_was_mined_with_is_said(
    simple: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A recipe in a mined folder may be edited and used, but not without a word."""
    out = Path(shutil.copytree(simple, tmp_path / "mined"))
    assert hfneg.Recipe.load(out / "recipe.yaml").k == 8
    assert not caplog.records
    (out / "recipe.yaml").write_text((out / "recipe.yaml").read_text().replace("k: 8", "k: 9"))
    assert hfneg.Recipe.load(out / "recipe.yaml").k == 9
    assert f"{out / 'recipe.yaml'} is damaged (its checksum differs), or was edited" in caplog.text


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"split: train", b"split: tra\xe9n", "UnicodeDecodeError"),
        (b"split: train", b"split: trajn", "'trajn'"),
        (b"data/train-", b"data/trbin-", "cannot open"),
        (b"data/train-*", b"ledger/*", "instead of"),
        (b"configs:", b"configs: [", "cannot open"),
    ],
)
def test_a_card_that_opens_other_rows_is_named(old: bytes, new: bytes, said: str, simple: Path, tmp_path: Path) -> None:
    """The head of README.md says what load_dataset reads: other rows, or none, are never taken for the mined ones; and
    without the file the folder is as good as before."""
    out = Path(shutil.copytree(simple, tmp_path / "mined"))
    card = (out / "README.md").read_bytes()
    assert old in card
    (out / "README.md").write_bytes(card.replace(old, new, 1))
    code, shown = say("export", str(out), "--out", str(tmp_path / "train.parquet"), "-q")
    assert code == 2
    assert said in shown
    assert "delete the file" in " ".join(shown.split())
    (out / "README.md").unlink()
    assert say("export", str(out), "--out", str(tmp_path / "train.parquet"), "-q")[0] == 0


def test_damaged_records_and_negatives_of_a_training_are_named(tmp_path: Path) -> None:
    """Negatives that a trainer reads, and what is recorded of a round."""
    live.publish(tmp_path, 1, np.arange(40).reshape(20, 2), {"step": 0})
    corpus = hfneg.Corpus.from_texts(small.documents(60))
    reader = live.LiveNegatives(tmp_path, corpus, "q", "a", 2)
    batch = {"q": ["x"], "a": ["y"], live.ROW: [3]}
    assert reader(batch)["negative_2"] == [corpus.texts([7])[0].as_py()]
    rot(tmp_path / "000001.npy")
    with pytest.raises(hfneg.DamagedError, match=r"000001\.npy is damaged"):
        live.LiveNegatives(tmp_path, corpus, "q", "a", 2)(batch)
    done = record.Round(1, tmp_path / "round-001", "model", "digest", SIMPLE)
    done.folder.mkdir()
    done.write()
    assert done.read()["number"] == 1
    rot(done.folder / "round.json")
    with pytest.raises(hfneg.DamagedError, match=r"round\.json is damaged"):
        done.read()


def test_an_examination_that_is_cut_off_leaves_a_whole_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file of the ledger may be as it was or as it becomes; at the end it is what it has become."""
    out = tmp_path / "mined"
    recipe = RECIPE.model_copy(update={"deeper": None, "filters": (hfneg.Margin(relative=0.05),)})
    hfneg.mine(small.pairs(), small.documents(), recipe, anchor="query", positive="answer", out=out)
    (before,) = (path.read_bytes() for path in out.glob("ledger/*"))

    def stop(*given: Any) -> None:
        raise CutOffError

    with monkeypatch.context() as patch:
        patch.setattr(examine, "_summarize", stop)
        with pytest.raises(CutOffError):
            hfneg.examine(out, WordTeacher())
    (ledger,) = out.glob("ledger/*")
    assert ledger.read_bytes() != before
    hfneg.examine(out, WordTeacher())
    hfneg.audit(str(out))
    ledger.write_bytes(before)
    with pytest.raises(hfneg.InputError, match="is damaged"):
        hfneg.audit(str(out))


# What it stands on.


def test_every_flipped_bit_of_a_sealed_file_is_noticed(tmp_path: Path) -> None:
    """Also those of the seal itself; and a file that is too short to have one."""
    path = tmp_path / "file"
    path.write_bytes(b"some content")
    checksums.seal(path)
    whole = path.read_bytes()
    assert checksums.seal_fault(path) is None
    for bit in range(8 * len(whole)):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        assert checksums.seal_fault(path) is not None, bit
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert checksums.seal_fault(path) is not None, length


def test_every_flipped_bit_of_signed_facts_is_noticed(tmp_path: Path) -> None:
    """They are no JSON any more, other facts without a true checksum, or say what they said."""
    facts = {"rows": 12, "share": 0.25, "name": "ö", "list": [1, None], "nan": float("inf")}
    whole = json.dumps(checksums.signed(facts)).encode()
    assert checksums.unsigned(json.loads(whole)) == facts
    for bit in range(8 * len(whole)):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        try:
            found = checksums.unsigned(json.loads(data))
        except (ValueError, AttributeError):
            continue
        assert {name: found.get(name) for name in facts} == facts, bytes(data)


def test_sizes_and_headers_of_files_without_checksums(tmp_path: Path) -> None:
    """An array with too few or too many bytes, offsets that point outside, JSON that is none."""
    np.save(tmp_path / "a.npy", np.arange(5))
    (tmp_path / "b.json").write_text("{}")
    (tmp_path / "c.offsets").write_bytes(np.array([0, 2, 3]).tobytes())
    (tmp_path / "c.bytes").write_bytes(b"abc")
    assert old_files.fault(tmp_path) is None
    for name, content in (
        ("a.npy", b""),
        ("a.npy", (tmp_path / "a.npy").read_bytes()[:-1]),
        ("a.npy", (tmp_path / "a.npy").read_bytes() + b"\0"),
        ("b.json", b"{"),
        ("c.offsets", np.array([0, 2, 4]).tobytes()),
        ("c.offsets", np.array([0, 9, 3]).tobytes()),
        ("c.offsets", np.array([1, 2, 3]).tobytes()),
        ("c.offsets", b""),
    ):
        before = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content)
        fault = old_files.fault(tmp_path)
        assert fault is not None, (name, content)
        assert fault.path == tmp_path / name
        (tmp_path / name).write_bytes(before)
