"""The store does no harm: what it refuses to become, what it keeps, and what is left wherever a process is killed."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import hfneg as library
from hfneg import cli
from hfneg.base import store
from hfneg.base.files import owners, temporary
from hfneg.base.hashing import hash_texts
from hfneg.base.store import artefacts, layout
from hfneg.base.store.scores import ScoreStore, pair_keys
from hfneg.base.store.stored import prune
from hfneg.errors import SettingError, StoreError
from hfneg.formats import export

DIGEST = "0123456789abcdef" * 2
TEXTS = [f"a fault number {i}" for i in range(20)]


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HFNEG_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


def hfneg(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli.app, list(words))
    return done.exit_code, done.output


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder, with the content of files."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def index(texts: list[str] = TEXTS) -> Path:
    """A corpus and its BM25 index in the store; the folder of the latter."""
    return store.artefact("bm25", library.BM25().open(library.Corpus.from_texts(texts)).digest)


def score(teacher: str = "t" * 32, n: int = 3) -> ScoreStore:
    scores = ScoreStore(teacher)
    scores.put(pair_keys(hash_texts(TEXTS[:n]), hash_texts(TEXTS[:n])), np.arange(n, dtype=np.float32))
    return scores


def pairs() -> object:
    from datasets import Dataset

    return Dataset.from_dict({"query": ["which fault"], "answer": [TEXTS[3]]})


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def as_of_0_1_0(root: Path) -> None:
    (root / layout.MARKER).unlink()
    store._checked.clear()
    store._swept.clear()


def as_a_new_process() -> None:
    """What a process remembers of the store is forgotten: as at its start."""
    store._checked.clear()
    store._swept.clear()


# What can be a store.


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Somebody's folder, with folders that are called as hfneg calls kinds, and digests for names."""
    folder = tmp_path / "project"
    for name in ("corpus/a.txt", f"vectors/{DIGEST}/table.csv", "bm25/notes.md", "thesis.tex", f"faiss/{DIGEST}.bin"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("years of work")
    (folder / "scores" / "bach").mkdir(parents=True)
    (folder / "scores" / "bach" / "fugue.json").write_text("{}")
    return folder


COMMANDS = [
    ("store", "clear", "--yes"),
    ("store", "clear", "vectors", "--yes"),
    ("store", "prune", "--older-than", "0", "--yes"),
    ("store", "prune", "bach", "--yes"),
    ("store", "repair"),
    ("store", "size"),
    ("mine", "PAIRS", "--out", "OUT"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("named", ["whole", "dot", "link"])
def test_somebodys_folder_is_refused_and_left_as_it_is(
    command: tuple[str, ...], named: str, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2, a message that says what is in it, and not a byte changed, also where it is the current folder."""
    monkeypatch.chdir(project)
    (tmp_path / "link").symlink_to(project)
    monkeypatch.setenv("HFNEG_STORE", {"whole": str(project), "dot": ".", "link": str(tmp_path / "link")}[named])
    before = tree(project)
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("query,answer\nwhat,that\nwho,you\n")
    words = [{"PAIRS": str(pairs), "OUT": str(tmp_path / "out")}.get(word, word) for word in command]
    code, said = hfneg(*words)
    assert code == 2
    assert "no store of hfneg" in said
    assert "thesis.tex" in said or "bm25" in said
    assert tree(project) == before
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("variable", ["HFNEG_STORE", "HF_HOME"])
@pytest.mark.parametrize("command", [command for command in COMMANDS if command[0] == "store"], ids=" ".join)
def test_an_empty_variable_is_an_error(
    command: tuple[str, ...], variable: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2, and the current folder is as it was."""
    monkeypatch.chdir(project)
    monkeypatch.delenv("HFNEG_STORE")
    monkeypatch.setenv(variable, " ")
    before = tree(project)
    code, said = hfneg(*command)
    assert code == 2
    assert f"{variable} is set but empty" in said
    assert tree(project) == before


def test_the_home_folder_and_the_root_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also an empty home, one that is marked, and one behind a link; a folder in it is taken."""
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "link").symlink_to(home)
    monkeypatch.setenv("HOME", str(home))
    for given in ("/", "//", "~", str(home), str(tmp_path / "link"), f"{home}/x/.."):
        monkeypatch.setenv("HFNEG_STORE", given)
        with pytest.raises(SettingError, match="a folder of its own"):
            library.Corpus.from_texts(TEXTS)
    assert tree(home) == {}
    (home / layout.MARKER).touch()
    with pytest.raises(SettingError, match="a folder of its own"):
        artefacts.clear()
    monkeypatch.setenv("HFNEG_STORE", "~/hf/store")
    library.Corpus.from_texts(TEXTS)
    assert os.environ["HFNEG_STORE"] == str(home / "hf" / "store")
    assert (home / "hf" / "store" / "corpus").is_dir()


def test_what_else_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file, and the home of somebody who does not exist; nothing is made."""
    (tmp_path / "file").write_text("mine")
    monkeypatch.chdir(tmp_path)
    for given, words in ((str(tmp_path / "file"), "not a folder"), ("~nobody-at-all/store", "no such home")):
        monkeypatch.setenv("HFNEG_STORE", given)
        with pytest.raises(SettingError, match=words):
            library.Corpus.from_texts(TEXTS)
        assert hfneg("store", "clear", "--yes")[0] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_a_relative_store_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made absolute when it is first used, for this process and its workers, whatever folder they go to."""
    monkeypatch.setenv("HFNEG_STORE", "here")
    monkeypatch.chdir(tmp_path)
    library.Corpus.from_texts(TEXTS)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    index()
    assert os.environ["HFNEG_STORE"] == str(tmp_path / "here")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_store_is_for_its_owner_and_a_folder_that_exists_keeps_its_mode(root: Path) -> None:
    """0700 where hfneg makes it, whatever the umask; what a team made for itself stays as it is."""
    before = os.umask(0)
    try:
        index()
        assert stat.S_IMODE(root.stat().st_mode) == 0o700
        shutil.rmtree(root)
        root.mkdir()
        root.chmod(0o2775)
        as_a_new_process()
        index()
        assert stat.S_IMODE(root.stat().st_mode) == 0o2775
    finally:
        os.umask(before)


def test_reading_commands_make_no_store(root: Path) -> None:
    """Asking what an absent store holds leaves it absent."""
    assert hfneg("store", "size")[0] == 0
    assert hfneg("store", "clear") == (0, f"nothing to delete in {root}\n")
    assert hfneg("store", "prune", "--older-than", "1")[0] == 0
    assert not root.exists()


def test_a_store_without_a_marker_is_known_by_its_content(root: Path) -> None:
    """One of hfneg 0.1.0, or one that was deleted and begun again under a running process: used on, and marked."""
    folder = index()
    (root / "holiday.jpg").write_bytes(b"sea")
    as_of_0_1_0(root)
    assert hfneg("store", "clear", "--yes")[0] == 0
    assert not folder.exists()
    assert index().is_dir()
    assert (root / layout.MARKER).is_file()
    assert (root / "holiday.jpg").read_bytes() == b"sea"
    shutil.rmtree(root)
    index([*TEXTS, "another"])
    assert (root / layout.MARKER).is_file()


def test_a_store_of_which_only_scratch_is_left_is_known(root: Path) -> None:
    """The first run of hfneg 0.1.0 was killed: nothing but its own names is there."""
    (root / "scratch" / DIGEST).mkdir(parents=True)
    (root / "corpus").mkdir()
    (root / "corpus" / f".{DIGEST}.lock").touch()
    index()
    assert (root / layout.MARKER).is_file()


def test_a_newer_store_is_left_alone(root: Path) -> None:
    """Whatever is asked, it says to upgrade, exit code 4, and nothing in it changes."""
    score()
    index()
    (root / layout.MARKER).write_text('{"format": 99}')
    as_a_new_process()
    before = tree(root)
    for words in (("clear", "--yes"), ("prune", "t" * 32, "--yes"), ("size",), ("repair",)):
        code, said = hfneg("store", *words)
        assert code == 4
        assert "format 99" in said
        assert "upgrade hfneg" in said
    with pytest.raises(StoreError, match="upgrade hfneg"):
        index([*TEXTS, "another"])
    assert tree(root) == before


def test_a_cut_off_marker_is_a_marker(root: Path) -> None:
    """Its name is enough, where the power went as it was written."""
    index()
    (root / layout.MARKER).write_text("")
    as_a_new_process()
    index([*TEXTS, "another"])


def test_many_processes_make_one_store(root: Path) -> None:
    """They begin at the same moment; each finds it a store, whoever was first."""
    code = "import sys; from hfneg.base import store; print(flush=True); sys.stdin.read(); store.lock('bm25', 'x' * 32)"
    starting = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(6)
    ]
    for process in starting:
        assert process.stdout is not None
        process.stdout.readline()
    for process in starting:
        assert process.stdin is not None
        process.stdin.close()
    assert [process.wait(60) for process in starting] == [0] * 6
    assert sorted(path.name for path in root.iterdir()) == ["bm25", layout.MARKER]


# What is deleted.


def test_clear_and_prune_keep_what_hfneg_did_not_write_and_name_it(root: Path) -> None:
    """Files and folders in the store, in a kind's folder, in an artefact, and in a teacher's folder."""
    folder, scores = index(), score()
    mine = [
        root / "photos" / "sea.jpg",
        root / "notes.txt",
        root / "bm25" / "thesis" / "a.tex",
        root / "bm25" / "b.txt",
        root / "bm25" / DIGEST / "folder" / "c.npy",
        root / "scratch" / "mine" / "d.txt",
        root / "vectors" / "my.partial" / "e.npy",
        scores.folder / "f.md",
    ]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    code, said = hfneg("store", "clear", "--yes")
    assert code == 0
    assert not folder.exists()
    for name in ("photos/", "notes.txt", "bm25/thesis", "bm25/b.txt", f"bm25/{DIGEST}", "scratch/mine"):
        assert name in said
    assert hfneg("store", "prune", "--older-than", "0", "--yes")[0] == 0
    assert hfneg("store", "prune", scores.teacher_digest, "--yes")[0] == 2
    assert all(path.read_text() == "mine" for path in mine)
    assert len(scores) == 3


def test_nothing_behind_a_link_is_deleted(root: Path, tmp_path: Path) -> None:
    """A kind that lies on another disk is used and kept, and named; so are links among the artefacts."""
    far = tmp_path / "far"
    far.mkdir()
    root.mkdir()
    (root / "bm25").symlink_to(far)
    (root / "scores").symlink_to(tmp_path / "scores")
    (tmp_path / "scores").mkdir()
    (root / layout.MARKER).touch()
    folder, scores = index(), score()
    dead = far / f".{DIGEST}.{dead_owner()}.partial"
    dead.mkdir()
    layout.sweep(root)
    (root / "vectors").mkdir()
    (root / "vectors" / DIGEST).symlink_to(folder.resolve())
    (root / "clusters").symlink_to(tmp_path / "nowhere")
    before = tree(far)
    code, said = hfneg("store", "clear", "--yes")
    assert code == 0
    assert "bm25/ (a link)" in said
    assert f"vectors/{DIGEST}" in said
    assert hfneg("store", "prune", "--older-than", "0", "--yes")[0] == 0
    assert tree(far) == before
    assert len(scores) == 3
    assert "bm25 " in hfneg("store", "size")[1]


def test_a_kind_may_lie_on_another_disk(root: Path, small_disk: Path) -> None:
    """What is written there goes through no name on the first disk."""
    root.mkdir()
    (root / layout.MARKER).touch()
    for kind in ("corpus", "anchors", "bm25", "scores"):
        (small_disk / kind).mkdir()
        (root / kind).symlink_to(small_disk / kind)
    corpus = library.Corpus.from_texts(TEXTS)
    library.Anchors(pairs(), corpus, anchor="query", positive="answer")
    index()
    assert len(score()) == 3
    assert sorted(path.name for path in small_disk.iterdir()) == ["anchors", "bm25", "corpus", "scores"]


@pytest.mark.parametrize("words", [("clear",), ("clear", "bm25"), ("prune", "t" * 32), ("prune", "--older-than", "0")])
def test_a_script_must_say_yes(words: tuple[str, ...], root: Path) -> None:
    """Without a terminal to ask in: exit code 2, what would go is shown, and nothing was deleted."""
    index()
    score()
    before = tree(root)
    code, said = hfneg("store", *words)
    assert code == 2
    assert "--yes" in said
    assert ("bm25" if words[0] == "clear" else "t" * 32) in said
    assert tree(root) == before


@pytest.mark.parametrize(("answer", "gone"), [("y\n", True), ("n\n", False), ("\n", False), ("\x04", False)])
def test_in_a_terminal_it_asks(answer: str, gone: bool, root: Path) -> None:
    """Only a yes deletes."""
    folder = index()
    main, terminal = pty.openpty()
    code = "from hfneg.cli import app; app(['store', 'clear', 'bm25'])"
    asking = subprocess.Popen([sys.executable, "-c", code], stdin=terminal, stdout=subprocess.PIPE, text=True)
    os.close(terminal)
    os.write(main, answer.encode())
    said, _ = asking.communicate(timeout=60)
    os.close(main)
    assert f"from {root}?" in said
    assert folder.exists() is not gone


@pytest.mark.parametrize("days", ["nan", "inf", "1e300"])
def test_ages_that_are_none(days: str, root: Path) -> None:
    """Exit code 2, and nothing was deleted."""
    folder = index()
    assert hfneg("store", "clear", "--older-than", days, "--yes")[0] == 2
    assert folder.exists()


@pytest.mark.parametrize("kind", ["..", "../store", ".", "", "/", "bm25/..", "BM25"])
def test_kinds_that_are_none(kind: str, root: Path) -> None:
    """Exit code 2, whatever path is said instead of a kind."""
    folder = index()
    score()
    assert hfneg("store", "clear", kind, "--yes")[0] == 2
    assert hfneg("store", "prune", kind, "--yes")[0] == 2
    assert folder.exists()


def test_clear_says_what_it_cannot_delete(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A typed error with the path, exit code 4, no traceback."""
    index()

    def refused(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(store, "remove", refused)
    code, said = hfneg("store", "clear", "--yes")
    assert code == 4
    assert "cannot delete" in said
    assert "Permission denied" in said


def test_clear_leaves_nothing_of_what_mining_wrote(root: Path, tmp_path: Path) -> None:
    """Every file that an artefact has is known to be hfneg's: no kind is kept by mistake, none is named as foreign."""
    from datasets import Dataset
    from small_models import save_encoder, save_teacher

    model, teacher = save_encoder(tmp_path / "model"), save_teacher(tmp_path / "teacher")
    texts = [f"a fault number {i}" for i in range(60)]
    asked = {"query": ["fault"] * 28 + ["number 29", "number 30"], "answer": texts[:30]}
    rows = Dataset.from_dict({**asked, "found": [texts[30:40]] * 30})
    filters = [library.NearAnchorPositives(str(model)), library.PositiveSimilarity(str(model), quantile=0.5)]
    filters += [library.OtherCluster(str(model), clusters=2), library.BelowPositives(quantile=0.25)]
    found = library.candidates_from(rows, "found", anchor="query")
    corpus = library.Corpus.from_texts(texts)
    recipe = library.Recipe(
        retrievers=[library.BM25(), library.Dense(str(model), index="Flat"), found],
        filters=filters,
        teacher=library.CrossEncoderTeacher(str(teacher)),
    )
    library.mine(rows, corpus, recipe, anchor="query", positive="answer")
    kinds = {kind.kind for kind in artefacts.stored_kinds()}
    # "converted" needs OpenVINO, and "positives" is a kind of earlier versions.
    assert kinds | {"converted", "positives"} == {*layout.KINDS, layout.SCRATCH}
    assert artefacts.not_ours() == []
    artefacts.clear()
    left = [path for kind in root.iterdir() if kind.name not in artefacts.LASTING for path in kind.glob("*/*")]
    assert left == []


# Kills.

KILLED = """
import os, signal, sys
def after(n, call):
    left = [n]
    def counted(*given, **named):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*given, **named)
    return counted
"""


def killed(at: str, n: int, work: str) -> bool:
    """Run `work` in a process that is killed before the call number `n` of the function `at`; whether it came to it."""
    done = python(f"{KILLED}\nimport shutil, os\n{work.split('#')[0]}\n{at} = after({n}, {at})\n{work.split('#')[1]}")
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


def whole(root: Path, kind: str) -> dict[str, dict[str, bytes | None]]:
    """The artefacts of a kind under their final names."""
    return {path.name: tree(path) for path in (root / kind).glob("[!.]*") if path.is_dir()}


@pytest.mark.parametrize("n", range(0, 24, 3))
def test_clear_is_killed(n: int, root: Path) -> None:
    """Each artefact is there as it was or not at all; the next start cleans the rest, and works."""
    for i in range(3):
        index([*TEXTS, f"another {i}"])
    before = whole(root, "bm25")
    was_killed = killed("os.unlink", n, "from hfneg.base.store import artefacts#artefacts.clear()")
    after = whole(root, "bm25")
    assert was_killed == bool(list((root / "bm25").glob(".*.removed")))
    assert all(before[name] == files for name, files in after.items())
    assert len(after) < 3
    as_a_new_process()
    for i in range(3):
        index([*TEXTS, f"another {i}"])
    assert whole(root, "bm25") == before
    assert not list(root.rglob(".*.removed"))


@pytest.mark.parametrize("n", range(4))
def test_prune_is_killed(n: int, root: Path) -> None:
    """A teacher has all its scores or none."""
    for digest in ("a" * 32, "b" * 32):
        scores = score(digest)
        scores.put(pair_keys(hash_texts(TEXTS[5:8]), hash_texts(TEXTS[5:8])), [1.0, 2.0, 3.0])
    work = "from hfneg.base.store import stored; from datetime import timedelta#stored.prune(older_than=timedelta(0))"
    was_killed = killed("os.unlink", n, work)
    assert was_killed == (n < 4)
    assert {len(ScoreStore(digest)) for digest in ("a" * 32, "b" * 32)} <= {0, 6}
    as_a_new_process()
    score("c" * 32)
    assert not list(root.rglob(".*.removed"))
    prune(["c" * 32])


@pytest.mark.parametrize("at", ["os.rename", "os.replace", "os.unlink"])
@pytest.mark.parametrize("n", range(3))
def test_export_over_a_folder_is_killed(at: str, n: int, tmp_path: Path) -> None:
    """The folder holds the old files or the new ones, never some of each; the next export cleans up beside it."""
    mined = tmp_path / "mined"
    library.mine(pairs(), library.Corpus.from_texts(TEXTS), out=mined, anchor="query", positive="answer")
    rows = rows_of(mined)
    options = {"scores": "retriever", "n": 2}
    export(rows, "pylate", tmp_path / "old", **options)
    export(rows, "pylate", tmp_path / "new", **{**options, "n": 3})
    shutil.copytree(tmp_path / "old", tmp_path / "out")
    work = f"""
from hfneg.formats import export; from datasets import load_dataset
rows = load_dataset({str(mined)!r}, split="train")#
export(rows, "pylate", {str(tmp_path / "out")!r}, n=3, scores="retriever", overwrite=True)"""
    killed(at, n, work)
    old, new = tree(tmp_path / "old"), tree(tmp_path / "new")
    assert not (tmp_path / "out").exists() or tree(tmp_path / "out") in (old, new)
    export(rows, "pylate", tmp_path / "out", **{**options, "n": 3}, overwrite=True)
    assert tree(tmp_path / "out") == new
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def rows_of(mined: Path) -> object:
    from datasets import load_dataset

    return load_dataset(str(mined), split="train")


def test_an_exported_folder_that_got_other_files_meanwhile_is_kept(tmp_path: Path) -> None:
    """What somebody put there while the export was written, or a folder where a file was, is not replaced."""
    from hfneg.errors import OutputExistsError
    from hfneg.formats.files import replacing

    out = tmp_path / "out"
    out.mkdir()
    (out / "a").write_text("old")

    def write() -> None:
        with replacing(out, True, ("a",)) as part:
            part.mkdir()
            (out / "notes.txt").write_text("mine")

    with pytest.raises(OutputExistsError, match=r"notes\.txt"):
        write()
    assert tree(out) == {"a": b"old", "notes.txt": b"mine"}
    (out / "notes.txt").unlink()
    (out / "a").unlink()
    (out / "a").mkdir()
    with pytest.raises(OutputExistsError), replacing(out, True, ("a",)):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


# What processes leave.


def dead_owner() -> str:
    """A process of this machine that has ended."""
    return python("from hfneg.base.files.owners import new_owner; print(new_owner())").stdout.strip()


LEAVE = """
import os, signal, sys
from pathlib import Path
from hfneg.base import store
from hfneg.base.store.scores import ScoreStore
def end(*_):
    print(flush=True)
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)
{work}
"""

WORKS = {
    "scratch": "with store.scratch_folder() as folder: (folder / 'half').write_text('x'); end()",
    "artefact": f"store.build('bm25', '{DIGEST}', lambda folder: ((folder / 'half').write_text('x'), end()))",
    "file": "store.replace_file(store.root() / 'bm25' / 'x.json', lambda path: (path.write_text('x'), end()))",
    "segment": "from hfneg.base.store import score_files as segments; from hfneg.base.hashing import hash_texts; "
    "segments.fsync_folder, keep = (lambda f: None), segments.write; "
    "segments.write = lambda path, *rest: (keep(path, *rest), end()); "
    "ScoreStore('t' * 32).put(hash_texts(['a']), [1.0])",
}


@pytest.mark.parametrize("work", WORKS)
def test_what_a_killed_process_left_goes_and_a_live_ones_stays(work: str, root: Path) -> None:
    """Two processes are at it; one is killed: the next start cleans after that one, and only after that one."""
    index()
    code = LEAVE.format(work=WORKS[work])
    codes = [code, code.replace(DIGEST, DIGEST[::-1])]  # one process builds an artefact at a time
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) for code in codes
    ]
    for process in both:
        assert process.stdout is not None
        process.stdout.readline()
    mine = {i: [path for path in left_in(root) if f"-{process.pid}-" in path.name] for i, process in enumerate(both)}
    assert mine[0]
    assert mine[1]
    both[0].kill()  # not waited for: the system remembers its number, and it is dead all the same
    os.waitid(os.P_PID, both[0].pid, os.WEXITED | os.WNOWAIT)
    as_a_new_process()
    index([*TEXTS, "another"])
    assert not any(path.exists() for path in mine[0])
    assert all(path.exists() for path in mine[1])
    assert hfneg("store", "clear", "--yes")[0] == 0
    assert all(path.exists() for path in mine[1])
    both[1].kill()
    for process in both:
        process.wait(60)
    assert hfneg("store", "clear", "--yes")[0] == 0
    assert left_in(root) == []


def left_in(root: Path) -> list[Path]:
    return [path for path in root.glob("*/*") if temporary.is_temporary(path.name, layout.EARLIER[False])]


def test_a_number_that_another_process_has_now_does_not_keep_files(root: Path) -> None:
    """The owner's name says when its process began; files of a process with this one's number go."""
    host, pid, _, n = owners.new_owner().split("-")
    index()
    old = root / "scratch" / f"{host}-{pid}-deadbeef-{n}"
    old.mkdir()
    as_a_new_process()
    index([*TEXTS, "another"])
    assert not old.exists()


def test_what_another_machine_writes_is_left_for_a_week(root: Path) -> None:
    """Nothing is known of its processes; and nothing of those of hfneg 0.1.0, whose names do not say whose they are."""
    index()
    _, pid, start, n = dead_owner().split("-")
    names = [f"scratch/aaaaaaaa-{pid}-{start}-{n}", f"bm25/.{DIGEST}.aaaaaaaa-1-{start}-{n}.partial"]
    names += [f"scratch/{DIGEST}", f"bm25/.{DIGEST}.4711.partial", f"scores/.{DIGEST}.{DIGEST}.pruned"]
    names += [f"scores/.{DIGEST}.{DIGEST}.partial", f"scores/.{DIGEST}.merge.partial"]
    for name in names:
        (root / name).mkdir(parents=True)
        (root / name / "half").write_text("x")
    as_a_new_process()
    index([*TEXTS, "another"])
    assert all((root / name).exists() for name in names)
    week_old = time.time() - 8 * 24 * 3600
    for name in names[:-1]:
        os.utime(root / name / "half", (week_old,) * 2)
        os.utime(root / name, (week_old,) * 2)
    os.utime(root / names[-1], (week_old,) * 2)  # something in it is new
    as_a_new_process()
    index([*TEXTS, "yet another"])
    assert [name for name in names if (root / name).exists()] == names[-1:]


def test_what_looks_like_a_leftover_and_is_none_stays(root: Path, tmp_path: Path) -> None:
    """Links and other people's names, in the store and where a report is written."""
    index()
    owner, mine = dead_owner(), tmp_path / "mine"
    mine.mkdir()
    (mine / "file").write_text("mine")
    (root / "scratch" / owner).symlink_to(mine)
    (root / "bm25" / f".{DIGEST}.{owner}.partial").symlink_to(mine)
    (root / "bm25" / f"{DIGEST}.partial").mkdir()
    (tmp_path / ".notes.partial").write_text("mine")
    (tmp_path / f".page.html.{owner}.partial").write_text("half a page")
    as_a_new_process()
    store.write_json(tmp_path / "page.html", {})
    index([*TEXTS, "another"])
    artefacts.clear()
    assert (mine / "file").read_text() == "mine"
    assert (root / "bm25" / f"{DIGEST}.partial").is_dir()
    assert (tmp_path / ".notes.partial").exists()
    assert not (tmp_path / f".page.html.{owner}.partial").exists()


def test_removing(tmp_path: Path) -> None:
    """Files, links and folders; what a link leads to stays; what is not there is no error."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").touch()
    links: list[tuple[str, Callable[[], Path]]] = [("link", lambda: folder), ("broken", lambda: tmp_path / "nothing")]
    for name, target in links:
        (tmp_path / name).symlink_to(target())
        store.remove(tmp_path / name)
        assert not (tmp_path / name).is_symlink()
    assert (folder / "file").exists()
    store.remove(folder / "file")
    store.remove(folder)
    store.remove(folder)
    assert list(tmp_path.glob("*")) == []


def test_names_as_long_as_a_system_allows(tmp_path: Path) -> None:
    """A file whose name has 255 bytes can be replaced."""
    name = "é" * 127
    store.write_json(tmp_path / name, {})
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.skipif(os.geteuid() != 0, reason="gives up root for a moment")
def test_a_shared_store_of_which_parts_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's artefact is left out and named; a kind's folder is a typed error; a store of hfneg 0.1.0 whose
    own folder is somebody else's is used on without a marker."""
    with tempfile.TemporaryDirectory() as open_to_all:
        os.chmod(open_to_all, 0o755)
        root = Path(open_to_all, "store")
        monkeypatch.setenv("HFNEG_STORE", str(root))
        folder = index()
        for path in root.glob("*"):
            path.chmod(0o777)
        folder.chmod(0o700)
        as_of_0_1_0(root)
        root.chmod(0o755)
        os.seteuid(65534)
        try:
            assert f"bm25/{folder.name}" in artefacts.not_ours()
            library.Corpus.from_texts(["another"])
            assert not (root / layout.MARKER).exists()
        finally:
            os.seteuid(0)
        (root / "bm25").chmod(0o700)
        os.seteuid(65534)
        try:
            code, said = hfneg("store", "size")
        finally:
            os.seteuid(0)
        assert code == 4
        assert "cannot read" in said
