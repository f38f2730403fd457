"""A full disk: one typed error wherever hfneg writes, no signal, no file that lacks its end, nothing lost."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, load_dataset
from small_models import DEMO, save_encoder, save_teacher
from typer.testing import CliRunner

import hfneg as library
from hfneg import cli
from hfneg.base import store
from hfneg.base.files import disk
from hfneg.errors import DiskFullError, OutputError, SettingError, StoreError
from hfneg.formats import export


def python(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=240, env=os.environ, check=False
    )


def fill(folder: Path, leave: int = 0) -> Path:
    """Take the room of a small disk but for `leave` bytes."""
    ballast = folder / "ballast"
    room = os.statvfs(folder)
    ballast.write_bytes(b"\0" * max(room.f_bavail * room.f_frsize - leave, 0))
    return ballast


# Writing.


@pytest.mark.parametrize(
    "array",
    [
        np.arange(7, dtype=np.int32),
        np.ones((3, 4), dtype=np.float32),
        np.asfortranarray(np.ones((3, 4))),
        np.empty(0, dtype=np.uint64),
        np.empty((0, 5), dtype=np.float32),
        np.array(3.5),
        np.zeros(4, dtype=[("high", "<u8"), ("low", "<u8")]),
        np.arange(40)[::3],
        np.array(["a", "bcd"]),
    ],
)
def test_arrays_are_written_as_numpy_writes_them(array: np.ndarray, tmp_path: Path) -> None:
    """Byte for byte the file of `numpy.save`, under exactly the name that is given."""
    disk.save_array(tmp_path / "ours", array)
    theirs = io.BytesIO()
    np.save(theirs, array)
    assert (tmp_path / "ours").read_bytes() == theirs.getvalue()


LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np
from hfneg.base.files import disk
path, write = Path(sys.argv[1]), sys.argv[2]
for limit in (100, 127, 500, 4000, 4096, 5000, 8000, 8191):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        if write == "save_array":
            disk.save_array(path, np.ones(1008))
        else:
            disk.create_mapped(path, np.float64, 1008)[:] = 1
        said = "written"
    except OSError as error:
        said = "full" if disk.full_disk_in(error) else repr(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(limit, said)
"""


@pytest.mark.parametrize("write", ["save_array", "create_mapped"])
def test_an_array_that_does_not_fit_is_an_error_wherever_it_is_cut(write: str, tmp_path: Path) -> None:
    """8,192 bytes under limits of any size: never a file that is shorter than it says (`numpy.save` leaves such)."""
    done = python(LIMITED, str(tmp_path / "array.npy"), write)
    assert done.returncode == 0, done.stderr
    assert [line.split(maxsplit=1)[1] for line in done.stdout.splitlines()] == ["full"] * 8


def test_a_mapped_array_has_its_room_before_it_is_written(tmp_path: Path) -> None:
    """Zeros, writable, on the disk: as many blocks as it has bytes; also where the system cannot reserve."""
    for reserves in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            if not reserves:
                patch.delattr(os, "posix_fallocate")
            made = disk.create_mapped(tmp_path / "a.npy", np.float32, 300_000)
        assert os.stat(tmp_path / "a.npy").st_blocks * 512 >= 1_200_000
        assert not made.any()
        made[7] = 1
        made.flush()
        assert np.load(tmp_path / "a.npy")[7] == 1


class OtherError(Exception):
    """A library's own."""


def full_cases() -> list[BaseException]:
    with_cause, from_within = OtherError("could not generate"), OtherError("could not generate")
    with_cause.__cause__ = OSError(errno.EDQUOT, "Disk quota exceeded")
    from_within.__context__ = OSError(errno.ENOSPC, "No space left on device")
    ours = OutputError("cannot write x")
    ours.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    return [
        OSError(errno.ENOSPC, "No space left on device", "/a/file"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        OSError(errno.EFBIG, "File too large"),
        OSError("1100 requested and 1008 written"),
        OtherError("I/O error: No space left on device (os error 28)"),
        with_cause,
        from_within,
        ours,
    ]


@pytest.mark.parametrize("error", full_cases(), ids=repr)
def test_what_a_full_disk_raises_is_said(error: Exception) -> None:
    """By the system, by NumPy, by libraries with errors of their own, directly or as a cause."""

    @store.disk_full_is_said()
    def write() -> None:
        raise error

    with pytest.raises(DiskFullError, match=r"no space is left.*make room.*hfneg store size"):
        write()


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EACCES, "Permission denied"),
        OSError("3 requested"),
        ValueError("1 requested and 0 written"),
        SettingError("k=0"),
        StoreError("it says: No space left on device"),
        KeyError("x"),
    ],
    ids=repr,
)
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    """The same object comes out."""

    @store.disk_full_is_said()
    def write() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        write()
    assert caught.value is error


# A store whose disk fills.

GROWING = """
import os, sys
from pathlib import Path
import hfneg
from hfneg.errors import DiskFullError
root, work = Path(sys.argv[1]), sys.argv[2]
texts = [f"word{i} word{i % 97} word{i % 31} fault" for i in range(3000)]
os.environ["HFNEG_STORE"] = str(root.parent / "elsewhere")
def corpus(): return hfneg.Corpus.from_texts(texts)
def anchors():
    rows = [{"q": text, "a": text} for text in texts[:1500]]
    return hfneg.Anchors(rows, hfneg.Corpus.from_texts(texts), anchor="q", positive="a")
def bm25(): return hfneg.BM25().open(documents)
def scores():
    import numpy as np
    from hfneg.base.hashing import hash_texts
    from hfneg.base.store.scores import ScoreStore
    ScoreStore("t" * 32).put(hash_texts(texts), np.ones(len(texts)))
documents = corpus()
globals()[work]()  # what it needs besides is loaded
os.environ["HFNEG_STORE"] = str(root / "store")
if work == "bm25":
    documents = corpus()
ballast = root / "ballast"
room = os.statvfs(root)
free = room.f_bavail * room.f_frsize
steps = max(free // 60 // 4096 * 4096, 4096)
for left in range(0, free, steps):
    ballast.write_bytes(bytes(free - left))
    try:
        globals()[work]()
        print("made")
        break
    except DiskFullError:
        print("full")
    left_over = [p.name for p in root.rglob("*") if ".partial" in p.name or p.parent.name == "scratch"]
    assert not left_over, left_over
"""


@pytest.mark.parametrize("work", ["corpus", "anchors", "bm25", "scores"])
def test_the_disk_of_the_store_fills(work: str, large_disk: Path) -> None:
    """At whatever byte it is full: DiskFullError and nothing left over, never a signal; with room it is made."""
    done = python(GROWING, str(large_disk), work)
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    outcomes = done.stdout.split()
    assert outcomes[-1] == "made"
    assert outcomes.count("full") >= 2
    assert set(outcomes) == {"made", "full"}


def test_vectors_and_indexes(large_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoding, and a FAISS index (whose library leaves files without their end): a typed error, then made."""
    model = str(save_encoder(tmp_path / "model"))
    corpus = library.Corpus.from_texts([f"fault {i}" for i in range(3000)])  # 384 KB of vectors
    monkeypatch.setenv("HFNEG_STORE", str(large_disk / "store"))
    corpus = library.Corpus.from_texts([f"fault {i}" for i in range(3000)])
    for step in (library.Dense(model), library.Dense(model, index="Flat")):
        outcomes = []
        for leave in (8_192, 100_000, 300_000, 383_000, 386_000, 1_000_000):
            ballast = fill(large_disk, leave)
            try:
                step.open(corpus).search(["fault 7"], 3)
                outcomes.append("made")
            except DiskFullError:
                outcomes.append("full")
            ballast.unlink()
        assert outcomes[0] == outcomes[1] == outcomes[2] == "full"
        assert outcomes[-1] == "made"


def test_map_says_it(large_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transform whose index or scores find no room, in the user's own `Dataset.map`."""
    monkeypatch.setenv("HFNEG_STORE", str(large_disk / "store"))
    texts = [f"fault number {i}" for i in range(40)]
    rows = Dataset.from_dict({"query": ["fault number 3"], "answer": [texts[4]]})
    anchors = library.Anchors(rows, library.Corpus.from_texts(texts), anchor="query", positive="answer")
    teacher = library.FunctionTeacher(lambda queries, texts: [0.5] * len(queries), id="half", scale="probability")
    recipe = library.Recipe(teacher=teacher, filters=[library.Band(high=1.0)])
    transform = recipe.transform(anchors)
    ballast = fill(large_disk)
    with pytest.raises(DiskFullError):
        rows.map(transform, batched=True, load_from_cache_file=False)
    ballast.unlink()
    transform.retrieve(rows[:1])
    ballast = fill(large_disk)
    with pytest.raises(DiskFullError):
        rows.map(transform, batched=True, load_from_cache_file=False)
    ballast.unlink()
    assert len(rows.map(transform, batched=True, load_from_cache_file=False)[0]["hard_negatives"]) == 7


# Commands whose output finds no room.


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mined folder and what else the commands need."""
    folder = tmp_path_factory.mktemp("world")
    recipe = library.Recipe(
        teacher=library.CrossEncoderTeacher(str(save_teacher(folder / "teacher"))),
        filters=[library.Margin(absolute=0.1)],
    )
    library.mine(str(DEMO), recipe=recipe, out=folder / "mined")
    library.mine(str(DEMO), recipe=recipe, out=folder / "second")
    return folder


WRITING = {
    "mine": "mine DEMO --out DISK/mined",
    "export": "export WORLD/mined --format flagembedding --out DISK/train.jsonl",
    "export parquet": "export WORLD/mined --format triplets --out DISK/train.parquet",
    "export folder": "export WORLD/mined --format pylate --out DISK/pylate --n 2 --scores teacher",
    "audit": "audit WORLD/mined --fix DISK/fixed.parquet",
    "report": "report WORLD/mined --out DISK/report.html",
    "calibrate": "calibrate WORLD/mined --sample 40 --out DISK/sample.jsonl",
    "calibrate csv": "calibrate WORLD/mined --sample 40 --out DISK/sample.csv",
    "calibrate parquet": "calibrate WORLD/mined --sample 40 --out DISK/sample.parquet",
    "push": "push WORLD/mined org/name --dry-run DISK/look",
    "select": "select WORLD/mined --out DISK/selected --set sampler.n=3",
}


@pytest.mark.parametrize("name", WRITING)
@pytest.mark.parametrize("leave", [0, 4096, 12_288])
def test_a_command_finds_no_room(name: str, leave: int, world: Path, large_disk: Path) -> None:
    """One line that names the disk, exit code 3, nothing of the output there; with room the same command works."""
    ballast = fill(large_disk, leave)
    words = WRITING[name].replace("DEMO", str(DEMO)).replace("WORLD", str(world)).replace("DISK", str(large_disk))
    done = CliRunner().invoke(cli.app, [*words.split(), "--quiet"])
    if done.exit_code == 0 and leave:
        pytest.skip("that is room enough")
    assert done.exit_code == 3, (done.output, done.exception)
    assert "error (DiskFullError): no space is left on the disk" in done.output
    assert "Traceback" not in done.output
    files = (path for path in large_disk.rglob("*") if path.is_file() and path != ballast)
    left = [path for path in files if ".hfneg" not in path.parts]
    assert left == []
    ballast.unlink()
    more = ["--resume"] if name in ("mine", "select") and list(large_disk.iterdir()) else []
    done = CliRunner().invoke(cli.app, [*words.split(), "--quiet", *more])
    assert done.exit_code in (0, 1), (done.output, done.exception)  # 1: audit has found something
    assert list(large_disk.iterdir())


def test_what_no_function_expected_is_said_by_the_commands(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A raw error of the system, from wherever: one line and exit code 3."""

    def full(*given: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/a/cache")

    monkeypatch.setattr("hfneg.runs.folder.mined.open_split", full)
    done = CliRunner().invoke(cli.app, ["export", str(world / "mined"), "--out", "x.parquet"])
    assert done.exit_code == 3
    assert "no space is left on the disk (No space left on device), in /a/cache" in done.output


def test_examine_finds_no_room(world: Path, large_disk: Path) -> None:
    """The mined folder is as it was, byte for byte, and complete."""
    import shutil

    shutil.copytree(world / "mined", large_disk / "mined")
    before = {path.name: path.read_bytes() for path in (large_disk / "mined").rglob("*") if path.is_file()}
    fill(large_disk)
    done = CliRunner().invoke(cli.app, ["examine", str(large_disk / "mined"), "--quiet"])
    assert done.exit_code == 3, done.output
    assert "DiskFullError" in done.output
    assert {path.name: path.read_bytes() for path in (large_disk / "mined").rglob("*") if path.is_file()} == before


def test_a_file_too_large_for_the_system(world: Path, tmp_path: Path) -> None:
    """Where no small disk can be mounted: a limit on the size of files, in a process of its own."""
    code = """
import resource, sys
from hfneg.cli import app
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
app(sys.argv[1:])
"""
    for name in ("export", "export parquet", "export folder", "report", "calibrate", "audit"):
        words = WRITING[name].replace("WORLD", str(world)).replace("DISK", str(tmp_path / "out"))
        (tmp_path / "out").mkdir(exist_ok=True)
        done = python(code, *words.split(), "--quiet")
        assert done.returncode == 3, (name, done.stderr[-1500:])
        assert "DiskFullError" in done.stderr
        assert list((tmp_path / "out").iterdir()) == []


def test_old_files_are_kept_where_new_ones_find_no_room(world: Path, small_disk: Path) -> None:
    """`overwrite` replaces a file only by a whole one."""
    rows = load_dataset(str(world / "mined"), split="train").select(range(10))
    path = small_disk / "train.jsonl"
    export(rows, "flagembedding", path)
    before = path.read_text()
    assert json.loads(before.splitlines()[0])
    fill(small_disk)
    with pytest.raises(DiskFullError):
        export(rows, "flagembedding", path, overwrite=True)
    assert path.read_text() == before
