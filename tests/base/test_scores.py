"""The teacher score store: what was committed is found, by everybody, whatever is killed or broken."""

from __future__ import annotations

import errno
import functools
import itertools
import math
import os
import pickle
import signal
import tempfile
import threading
import time
import traceback
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from properties import examples

from hfneg.base import store
from hfneg.base.files import checksums
from hfneg.base.hashing import HASH, hash_texts
from hfneg.base.store import score_files, scores as scores_module
from hfneg.base.store.scores import ScoreStore, pair_keys
from hfneg.base.store.stored import prune, stored_teachers
from hfneg.errors import DiskFullError, NonFiniteError, SettingError, StoreError

TEACHER = "a" * 32


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HFNEG_STORE", str(tmp_path / "store"))


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without waiting for the disk."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def unmerged(monkeypatch: pytest.MonkeyPatch) -> None:
    """`put` does not merge."""
    monkeypatch.setattr(score_files, "FEW", 1_000)


def keys_of(pairs: Any) -> Any:
    """HASH [n] from (high, low) pairs."""
    return np.array([tuple(pair) for pair in pairs], dtype=HASH)


def numbered(start: int, stop: int) -> Any:
    """Well-spread keys that are different for different numbers."""
    return hash_texts(str(number) for number in range(start, stop))


def values(start: int, stop: int) -> Any:
    return np.arange(start, stop, dtype=np.float32)


def filled(*bounds: int) -> ScoreStore:
    """A store with one put per span between `bounds`."""
    scores = ScoreStore(TEACHER)
    for start, stop in itertools.pairwise(bounds):
        scores.put(numbered(start, stop), values(start, stop))
    return scores


def files() -> list[Path]:
    return sorted(ScoreStore(TEACHER).folder.glob("*"))


def in_child(work: Callable[[], object]) -> int:
    """Run `work` in a forked process; its process id."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return child


def ended(child: int) -> int:
    """The exit code; minus the signal where it was killed."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


# What is found.


def test_scores_are_found_and_others_are_nan() -> None:
    """`get` returns what was put, in the order asked, with repeats, as float32; NaN where there is nothing."""
    scores = filled(0, 100)
    found = scores.get(np.concatenate([numbered(95, 105), numbered(3, 4), numbered(3, 4)]))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [95, 96, 97, 98, 99, *[np.nan] * 5, 3, 3])
    assert (scores.asked, scores.hits, len(scores), scores.segments) == (12, 7, 100, 1)
    assert scores.nbytes == 64 + 20 * 100 == files()[0].stat().st_size


def test_an_empty_store_reads_as_empty_and_writes_nothing() -> None:
    """Reading creates no folder; no keys are fine."""
    scores = ScoreStore(TEACHER)
    assert np.isnan(scores.get(numbered(0, 3))).all()
    assert (len(scores), scores.segments, scores.nbytes) == (0, 0, 0)
    assert len(scores.get(numbered(0, 0))) == 0
    scores.put(numbered(0, 0), [])
    scores.compact()
    assert not scores.folder.exists()
    assert stored_teachers() == []


HALF = st.sampled_from([0, 1, 2, 2**63, 2**64 - 1])
KEY = st.tuples(HALF, HALF)
SCORE = st.floats(width=32, allow_nan=False, allow_infinity=False)
PUT = st.lists(st.tuples(KEY, SCORE), max_size=12)
STEP = st.one_of(PUT, st.sampled_from(["compact", "reopen"]))


@examples(80)
@given(steps=st.lists(STEP, max_size=12))
def test_equals_a_dict(steps: list[Any]) -> None:
    """Whatever is put, merged and reopened: a key has the score first put, also where keys share a half."""
    everything = keys_of([(high, low) for high in (0, 1, 2, 2**63, 2**64 - 1) for low in (0, 1, 2, 2**63, 2**64 - 1)])
    oracle: dict[Any, float] = {}
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HFNEG_STORE", folder)
        patch.setattr(os, "fsync", lambda handle: None)
        scores = ScoreStore(TEACHER)
        for step in steps:
            if step == "reopen":
                scores = pickle.loads(pickle.dumps(scores))
            elif step == "compact":
                scores.compact()
            elif step:
                for key, score in step:
                    oracle.setdefault(key, score)
                scores.put(keys_of([key for key, _ in step]), [score for _, score in step])
            expected = np.array([oracle.get(key.item(), np.nan) for key in everything], dtype=np.float32)
            np.testing.assert_array_equal(scores.get(everything), expected)


@examples(60)
@given(puts=st.lists(PUT.filter(len), min_size=1, max_size=5), entries=st.integers(1, 9))
def test_merging_is_the_sorted_union_of_which_the_first_wins(puts: list[Any], entries: int) -> None:
    """`merged` equals a sorted dict for any block size; and the file it makes reads back as that."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        oracle: dict[Any, float] = {}
        runs = []
        for number, put in enumerate(puts, 1):
            keys, path = keys_of([key for key, _ in put]), Path(folder) / score_files.name_of(number, number)
            given = score_files.ScoreBlock(
                keys["high"], keys["low"], np.array([score for _, score in put], dtype=np.float32)
            )
            score_files.write(path, len(put), [score_files.ordered(given)])
            runs.append(score_files.Segment(path))
            for key, score in put:
                oracle.setdefault(key, score)
        target = Path(folder) / score_files.name_of(1, len(puts))
        score_files.write(target, sum(map(len, runs)), score_files.merged(runs, entries))
        result = score_files.Segment(target)
    result.verify()
    found = list(zip(result.high.tolist(), result.low.tolist(), strict=True))
    assert found == sorted(oracle)
    np.testing.assert_array_equal(result.scores, np.array([oracle[key] for key in found], dtype=np.float32))


def test_of_two_scores_the_first_committed_counts(unmerged: None) -> None:
    """Also where the second writer did not know of the first, before and after merging, in every process."""
    first, second = ScoreStore(TEACHER), ScoreStore(TEACHER)
    assert np.isnan(second.get(numbered(0, 10))).all()
    first.put(numbered(0, 10), values(0, 10))
    second.put(numbered(5, 15), values(105, 115))
    expected = [*range(10), *range(110, 115)]
    assert len(first) == 20
    for _ in range(2):
        for scores in (first, second, ScoreStore(TEACHER)):
            np.testing.assert_array_equal(scores.get(numbered(0, 15)), expected)
        first.compact()
    assert len(first) == 15


def test_putting_what_is_there_writes_nothing() -> None:
    """A key that a store knows is not written again, neither with the same value nor with another one."""
    scores = filled(0, 10)
    before = files()
    scores.put(numbered(0, 10), values(0, 10))
    scores.put(numbered(0, 5), values(50, 55))
    assert files() == before
    np.testing.assert_array_equal(scores.get(numbered(0, 10)), values(0, 10))


def test_a_reader_sees_what_others_commit_and_merge() -> None:
    """A store that was opened before sees new segments at its next `get`, and keeps working over a merge."""
    reader = ScoreStore(TEACHER)
    writer = ScoreStore(TEACHER)
    for stop in range(10, 100, 10):
        writer.put(numbered(stop - 10, stop), values(stop - 10, stop))
        np.testing.assert_array_equal(reader.get(numbered(0, stop)), values(0, stop))
    mapped = reader._segments
    writer.compact()
    assert sum(len(segment.find(segment.high, segment.low)) for segment in mapped) == 90  # removed, still mapped
    np.testing.assert_array_equal(reader.get(numbered(0, 90)), values(0, 90))
    assert reader.segments == 1


def test_a_listing_torn_by_a_merge_is_not_believed(unmerged: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing that lacks a merge's inputs and not yet has its result is made again; so is one of vanished files."""
    writer = filled(0, 10, 20)
    old = score_files.listing(writer.folder)
    writer.compact()
    answers: list[tuple[str, ...]] = [(), old, old]
    real = score_files.listing
    monkeypatch.setattr(score_files, "listing", lambda folder: answers.pop(0) if answers else real(folder))
    np.testing.assert_array_equal(ScoreStore(TEACHER).get(numbered(0, 20)), values(0, 20))
    assert not answers


def test_pickles_to_its_digest() -> None:
    """A pickled store holds no paths and no scores, so a transform's fingerprint depends on the teacher alone."""
    scores = filled(0, 1_000)
    assert len(pickle.dumps(scores)) < 150
    assert pickle.dumps(scores) == pickle.dumps(ScoreStore(TEACHER))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(scores)).get(numbered(0, 9)), values(0, 9))


# Keys.


def test_pair_keys_depend_on_both_hashes_and_their_order() -> None:
    """One key per (anchor, document), element by element; (a, d) and (d, a) differ; nothing collides."""
    texts = hash_texts(f"text {i}" for i in range(300))
    anchors, documents = np.repeat(texts, 300), np.tile(texts, 300)
    keys = pair_keys(anchors, documents)
    assert keys.dtype == HASH
    assert len(np.unique(keys)) == len(np.unique(keys["high"])) == len(np.unique(keys["low"])) == 90_000
    np.testing.assert_array_equal(pair_keys(anchors[7:9], documents[7:9]), keys[7:9])
    assert len(pair_keys(texts[:0], texts[:0])) == 0
    with pytest.raises(SettingError, match="2 anchors and 3 documents"):
        pair_keys(texts[:2], texts[:3])


def test_pair_keys_are_well_mixed() -> None:
    """A flipped bit of either hash flips about half of the key's 128 bits, and its halves are unrelated."""
    a, d = keys_of([(1, 2)] * 256), keys_of([(3, 4)] * 256)
    for bit in range(64):
        a["high"][bit] ^= np.uint64(1 << bit)
        a["low"][64 + bit] ^= np.uint64(1 << bit)
        d["high"][128 + bit] ^= np.uint64(1 << bit)
        d["low"][192 + bit] ^= np.uint64(1 << bit)
    origin = pair_keys(keys_of([(1, 2)]), keys_of([(3, 4)]))
    changed = np.stack([pair_keys(a, d)[half] ^ origin[half] for half in ("high", "low")], axis=1)
    flips = np.unpackbits(changed.view(np.uint8), axis=1).sum(axis=1)
    assert 35 < flips.min() <= flips.max() < 93  # five standard deviations around 64
    assert 63 < flips.mean() < 65
    assert not (changed[:, 0] == changed[:, 1]).any()


# Killed.

STEPS = [(os, "fsync"), (os, "rename"), (os, "unlink"), (score_files, "_header_sum")]


def killed_before(step: int, work: Callable[[], object]) -> bool:
    """Fork and `work`, with SIGKILL before the call number `step` of any of STEPS; False if it came to its end."""

    def child() -> None:
        left = [step]

        def counted(call: Callable[..., Any]) -> Callable[..., Any]:
            def run(*args: Any, **kwargs: Any) -> Any:
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1
                return call(*args, **kwargs)

            return run

        for module, name in STEPS:
            setattr(module, name, counted(getattr(module, name)))
        work()

    code = ended(in_child(child))
    assert code in (0, -signal.SIGKILL)
    return code != 0


def each_kill(work: Callable[[], object], prepare: Callable[[], object]) -> Iterator[int]:
    """Kill `work` before each of its steps, in a store of its own each time."""
    base = os.environ["HFNEG_STORE"]
    try:
        for step in range(1_000):
            os.environ["HFNEG_STORE"] = f"{base}{step}"
            prepare()
            killed = killed_before(step, work)
            yield step
            if not killed:
                return
    finally:
        os.environ["HFNEG_STORE"] = base


def assert_sound(committed: int, tried: int) -> None:
    """All of the committed are there, of the others nothing wrong; and the store goes on working."""
    scores = ScoreStore(TEACHER)
    for _ in range(2):
        found = scores.get(numbered(0, tried))
        np.testing.assert_array_equal(found[:committed], values(0, committed))
        rest = found[committed:]
        assert (np.isnan(rest) | (rest == values(committed, tried))).all()
        scores.put(numbered(tried, tried + 5), values(tried, tried + 5))
        scores.compact()
    assert len(files()) == 1
    np.testing.assert_array_equal(scores.get(numbered(tried, tried + 5)), values(tried, tried + 5))


def test_a_kill_in_put_loses_nothing_committed(unmerged: None) -> None:
    """SIGKILL before each step of a put: earlier scores are there, the put's are there whole or not at all."""
    kills = 0
    for kills in each_kill(lambda: filled(40, 60), lambda: filled(0, 20, 40)):  # noqa: B007
        found = ScoreStore(TEACHER).get(numbered(40, 60))
        assert np.isnan(found).all() or (found == values(40, 60)).all()
        assert_sound(40, 60)
    assert kills >= 5


def test_a_kill_in_compact_loses_nothing_and_returns_nothing_wrong(unmerged: None) -> None:
    """SIGKILL before each step of a merge, also between its rename and the removal of what it replaces."""
    kills = replaced = 0
    for kills in each_kill(lambda: ScoreStore(TEACHER).compact(), lambda: filled(0, 20, 40, 60, 80)):  # noqa: B007
        replaced += bool(score_files.replaced(score_files.listing(ScoreStore(TEACHER).folder)))
        assert_sound(80, 80)
    assert kills >= 10
    assert replaced >= 3


def test_a_kill_while_puts_merge_loses_nothing_that_put_returned() -> None:
    """SIGKILL anywhere in a series of puts that merge: what a finished put stored is there."""
    told = os.environ["HFNEG_STORE"] + ".told"

    def work() -> None:
        for stop in range(10, 130, 10):
            filled(stop - 10, stop)
            Path(told).write_text(str(stop))

    Path(told).write_text("0")
    length = 0
    while killed_before(length, work):
        length += 29  # of some 250 steps every 29th
        committed = int(Path(told).read_text())
        np.testing.assert_array_equal(ScoreStore(TEACHER).get(numbered(0, committed)), values(0, committed))
    assert length > 100
    assert_sound(120, 120)


def test_scores_are_on_the_disk_before_they_have_their_name(unmerged: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """File synced, renamed, folder synced, and only then does put return or a merge remove its inputs."""
    done: list[str] = []
    fsync, rename, unlink = os.fsync, os.rename, os.unlink

    def name(handle: int) -> str:
        return "folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "file"

    scores = filled(0, 10)
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append(f"sync {name(handle)}"), fsync(handle))[1])
    monkeypatch.setattr(os, "rename", lambda *names: (done.append("rename"), rename(*names))[1])
    scores.put(numbered(10, 20), values(10, 20))
    assert done == ["sync file", "rename", "sync folder", "sync folder"]
    done.clear()
    monkeypatch.setattr(os, "unlink", lambda path, **rest: (done.append("unlink"), unlink(path, **rest))[1])
    scores.compact()
    assert [step for step in done if step != "unlink" or "rename" in done][:5] == [
        "sync file",
        "rename",
        "sync folder",
        *[step for step in done if step == "unlink"][:2],
    ]


# Many at once.


def test_four_writers_at_once_lose_nothing_and_change_nothing() -> None:
    """Four processes put overlapping keys with values of their own while a reader watches: a score that was seen
    once is seen for ever and never changes, all are there in the end, and each is one of those that were put."""
    total, offsets = 400, [10_000 * writer for writer in range(4)]
    wait, start_all = os.pipe()

    def write(offset: int) -> None:
        os.close(start_all)
        os.read(wait, 1)  # until the parent closes it
        order = np.random.default_rng(offset).permutation(total // 10)
        scores = ScoreStore(TEACHER)
        for start in order * 10:
            scores.put(numbered(start, start + 10), values(start + offset, start + offset + 10))

    children = [in_child(functools.partial(write, offset)) for offset in offsets]
    os.close(start_all)
    reader, seen = ScoreStore(TEACHER), np.full(total, np.nan, dtype=np.float32)
    codes: list[int] = []
    while len(codes) < len(children):
        found = reader.get(numbered(0, total))
        known = ~np.isnan(seen)
        np.testing.assert_array_equal(found[known], seen[known])
        seen = found
        for child in children[len(codes) : len(codes) + 1]:
            process, status = os.waitpid(child, os.WNOHANG)
            codes += [os.waitstatus_to_exitcode(status)] if process else []
    assert codes == [0, 0, 0, 0]
    final = ScoreStore(TEACHER).get(numbered(0, total))
    np.testing.assert_array_equal(final % 10_000, values(0, total))
    assert len(np.unique(final // 10_000)) > 1  # they did race
    reader.compact()
    np.testing.assert_array_equal(reader.get(numbered(0, total)), final)


@pytest.mark.parametrize("sizes", ["equal", "random", "falling"])
def test_segments_stay_few_and_scores_are_rarely_rewritten(
    sizes: str, fast: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After n puts at most 4 + log2(n) + 1 segments, each score written at most 2 + log2(n) times on average."""
    written = [0]
    write = score_files.write
    monkeypatch.setattr(
        score_files, "write", lambda path, n, blocks: (written.__setitem__(0, written[0] + n), write(path, n, blocks))
    )
    generator, scores, start = np.random.default_rng(0), ScoreStore(TEACHER), 0
    for number in range(1, 201):
        size = {"equal": 5, "random": int(generator.integers(1, 30)), "falling": 1 + (200 - number) // 10}[sizes]
        scores.put(numbered(start, start + size), values(start, start + size))
        start += size
        assert scores.segments <= 4 + math.log2(start) + 1
    assert written[0] / start <= 2 + math.log2(200)
    np.testing.assert_array_equal(scores.get(numbered(0, start)), values(0, start))


def test_merging_takes_memory_for_blocks_not_for_scores(unmerged: None, fast: None) -> None:
    """Merging 48 MB of scores, and 96 MB of them, stays below the same 30 MB."""
    generator, scores = np.random.default_rng(0), ScoreStore(TEACHER)
    for _ in range(2):
        for _ in range(3):
            keys = generator.integers(2**64, size=(800_000, 2), dtype=np.uint64).view(HASH).ravel()
            scores.put(keys, np.zeros(len(keys), dtype=np.float32))
        tracemalloc.start()
        scores.compact()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert scores.segments == 1
        assert peak < 30e6
    assert scores.nbytes > 90e6


# Damaged, newer, read-only, locked, full.


def damage(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "truncated":
        data = data[:-7]
    elif how == "empty":
        data = bytearray()
    else:
        data[{"flipped score": -1, "flipped key": 70, "flipped count": 17, "no magic": 0}[how]] ^= 0x40
    path.write_bytes(data)


DAMAGES = ["truncated", "empty", "flipped score", "flipped key", "flipped count", "no magic"]


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_segment_is_named_and_can_be_set_aside(
    how: str, unmerged: None, caplog: pytest.LogCaptureFixture
) -> None:
    """The error names the file and the way out; `repair` costs that file's scores and no others."""
    filled(0, 10, 20, 30)
    path = files()[1]
    damage(path, how)
    scores = ScoreStore(TEACHER)
    with pytest.raises(StoreError, match=r"is damaged .*Its scores are lost.*`hfneg store repair`") as caught:
        scores.get(numbered(0, 1))
    assert str(path) in str(caught.value)
    [aside] = scores.repair()
    assert aside == path.with_name(path.name + ".damaged")
    assert str(path) in caplog.text
    np.testing.assert_array_equal(scores.get(numbered(0, 30)), [*range(10), *[np.nan] * 10, *range(20, 30)])
    scores.put(numbered(10, 20), values(10, 20))
    scores.compact()
    np.testing.assert_array_equal(scores.get(numbered(0, 30)), values(0, 30))
    assert aside.exists()
    assert scores.repair() == []


def test_a_damaged_segment_costs_no_new_score(unmerged: None) -> None:
    """A put commits before it looks at other files, and says then what is wrong with them."""
    filled(0, 10)
    damage(files()[0], "flipped score")
    with pytest.raises(StoreError, match="damaged"):
        filled(10, 20)
    ScoreStore(TEACHER).repair()
    np.testing.assert_array_equal(ScoreStore(TEACHER).get(numbered(10, 20)), values(10, 20))


def test_a_segment_that_was_whole_before_is_verified_again_before_it_is_merged(
    unmerged: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what this process has verified already, for it goes into a file with a true checksum; nothing is removed."""
    monkeypatch.setattr(checksums, "is_known", lambda *file: True)
    filled(0, 10, 20)
    damage(files()[0], "flipped score")
    with pytest.raises(StoreError, match="the checksum of its 10 scores differs"):
        ScoreStore(TEACHER).compact()
    assert len(files()) == 2
    assert len(ScoreStore(TEACHER).repair()) == 1
    np.testing.assert_array_equal(ScoreStore(TEACHER).get(numbered(10, 20)), values(10, 20))


def test_a_newer_segment_asks_for_an_upgrade(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of a later format is neither read nor set aside nor merged."""
    with monkeypatch.context() as patch:
        patch.setattr(score_files, "VERSION", 2)
        filled(0, 10)
    before = files()
    for use in (lambda: ScoreStore(TEACHER).get(numbered(0, 1)), ScoreStore(TEACHER).repair):
        with pytest.raises(StoreError, match="format 2, and this hfneg reads up to 1: upgrade hfneg"):
            use()
    assert files() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="gives up root for a moment")
def test_a_store_that_cannot_be_written_can_be_read() -> None:
    """On a read-only folder get works, and put says so, naming HFNEG_STORE, and leaves nothing."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HFNEG_STORE", folder)
        filled(0, 10)
        os.chmod(folder, 0o755)
        before = sorted(Path(folder).rglob("*"))
        scores = ScoreStore(TEACHER)
        os.seteuid(65534)
        try:
            np.testing.assert_array_equal(scores.get(numbered(0, 10)), values(0, 10))
            for write in (lambda: scores.put(numbered(10, 20), values(10, 20)), scores.compact):
                with pytest.raises(StoreError, match=r"cannot write to the store.*Permission denied.*HFNEG_STORE"):
                    write()
            with pytest.raises(StoreError, match="HFNEG_STORE"):
                ScoreStore("b" * 32).put(numbered(0, 1), values(0, 1))
        finally:
            os.seteuid(0)
        assert sorted(Path(folder).rglob("*")) == before


def test_a_full_disk_loses_nothing_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is a DiskFullError; no part of a file stays; earlier scores are there."""
    scores = filled(0, 10)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DiskFullError, match=r"no space is left.*hfneg store size"):
            scores.put(numbered(10, 20), values(10, 20))
    assert list(store.root().rglob("*.partial")) == []
    np.testing.assert_array_equal(scores.get(numbered(0, 20)), [*range(10), *[np.nan] * 10])


def test_a_lock_is_waited_for_with_a_bound(unmerged: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits too long for another process gets a StoreError naming the lock file; reading needs no lock."""
    scores, held, done = filled(0, 10, 20), threading.Event(), threading.Event()
    monkeypatch.setattr(scores_module, "LOCK_SECONDS", 0.1)

    def hold() -> None:
        with store.lock("scores", TEACHER), store.lock("scores", f"{TEACHER}.merge"):
            held.set()
            done.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(20)
    try:
        for write in (lambda: scores.put(numbered(20, 30), values(20, 30)), scores.compact):
            with pytest.raises(StoreError, match=rf"another process has held .*\.{TEACHER}.*\.lock"):
                write()
        np.testing.assert_array_equal(scores.get(numbered(0, 20)), values(0, 20))
    finally:
        done.set()
        thread.join()
    scores.put(numbered(20, 30), values(20, 30))
    assert list(store.root().rglob("*.partial")) == []


def test_a_put_does_not_wait_for_a_merge(fast: None) -> None:
    """While another process merges, puts commit and leave the merging to it."""
    scores, held, done = filled(0, 10), threading.Event(), threading.Event()

    def hold() -> None:
        with store.lock("scores", f"{TEACHER}.merge"):
            held.set()
            done.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(20)
    try:
        for start in range(10, 100, 10):
            scores.put(numbered(start, start + 10), values(start, start + 10))
        assert scores.segments == 10
    finally:
        done.set()
        thread.join()
    scores.put(numbered(100, 110), values(100, 110))
    assert scores.segments < 5


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39])
def test_what_is_no_finite_float32_is_refused(bad: float) -> None:
    """NaN, infinity and what becomes infinity in float32 are refused, and nothing of that call is stored."""
    scores = ScoreStore(TEACHER)
    with pytest.raises(NonFiniteError, match="score 1 of 3 is"):
        scores.put(numbered(0, 3), [0.5, bad, 0.5])
    assert len(scores) == 0


def test_wrong_arguments_are_refused() -> None:
    """Keys that are no hashes, scores of another length, and a digest that is no name."""
    scores = ScoreStore(TEACHER)
    with pytest.raises(SettingError, match="keys are int64"):
        scores.get(np.arange(3))
    with pytest.raises(SettingError, match=r"shape \(2,\) for 3 keys"):
        scores.put(numbered(0, 3), [1.0, 2.0])
    with pytest.raises(SettingError, match="cannot name a folder"):
        ScoreStore("../elsewhere")


# Sizes and pruning.


def test_stored_teachers_lists_and_prune_deletes() -> None:
    """`stored_teachers` gives digest, scores and bytes; `prune` deletes the named ones and nothing else."""
    for digest, count in (("b" * 32, 3), ("c" * 32, 4)):
        ScoreStore(digest).put(numbered(0, count), values(0, count))
    reader = ScoreStore("b" * 32)
    assert not np.isnan(reader.get(numbered(0, 3))).any()
    assert stored_teachers() == [("b" * 32, 3, 124, ""), ("c" * 32, 4, 144, "")]
    assert prune(["b" * 32]) == [("b" * 32, 3, 124, "")]
    assert stored_teachers() == [("c" * 32, 4, 144, "")]
    assert np.isnan(reader.get(numbered(0, 3))).all()
    reader.put(numbered(0, 2), values(5, 7))
    np.testing.assert_array_equal(reader.get(numbered(0, 2)), [5, 6])
    with pytest.raises(SettingError, match="no scores of"):
        prune(["d" * 32])
    with pytest.raises(SettingError, match="older_than"):
        prune()


def test_prune_by_age() -> None:
    """Teachers that got no score for so long go; with digests, only those of them."""
    for digest in ("b", "c", "d"):
        ScoreStore(digest).put(numbered(0, 1), values(0, 1))
    for digest in ("b", "c"):
        os.utime(ScoreStore(digest).folder, (time.time() - 90_000,) * 2)
    assert [gone.digest for gone in prune(["c", "d"], older_than=timedelta(days=1))] == ["c"]
    assert [gone.digest for gone in prune(older_than=timedelta(days=1))] == ["b"]
    assert [kept.digest for kept in stored_teachers()] == ["d"]


def test_a_put_survives_being_pruned_in_its_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is pruned is what was committed; a put under way goes on."""
    scores, write = filled(0, 10), score_files.write

    def pruned(path: Path, *rest: Any) -> None:
        write(path, *rest)
        prune([TEACHER])

    with monkeypatch.context() as patch:
        patch.setattr(score_files, "write", pruned)
        scores.put(numbered(10, 20), values(10, 20))
    np.testing.assert_array_equal(scores.get(numbered(0, 20)), [*[np.nan] * 10, *range(10, 20)])


def test_a_damaged_folder_can_be_listed(caplog: pytest.LogCaptureFixture) -> None:
    """A damaged file counts as bytes without scores, with a warning, so that `prune` can always be used."""
    filled(0, 10)
    damage(files()[0], "truncated")
    assert stored_teachers() == [(TEACHER, 0, 257, "")]
    assert "is damaged" in caplog.text
    assert prune([TEACHER]) == [(TEACHER, 0, 257, "")]
