"""Small work is done without kernels, with the same bits; a first example compiles none of the large ones."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st
from properties import examples

import hfneg
from hfneg.base import small
from hfneg.base.lists import Lists
from hfneg.base.small import Allowance
from hfneg.data import near_duplicates as near
from hfneg.data.near_duplicates import plain as near_plain
from hfneg.models import exact_search as dense_kernels, exact_search_plain as dense_plain
from hfneg.steps.retrievers.bm25 import plain as bm25_plain

few = examples(40)


@pytest.fixture
def plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has just begun."""
    monkeypatch.setattr(small, "ENABLED", True)
    for module in (bm25_plain, dense_plain, near_plain):
        monkeypatch.setattr(module, "ALLOWANCE", Allowance(1e9))


def both(work: Any) -> tuple[Any, Any]:
    """What `work()` gives by the kernels and plainly."""
    by_kernels = work()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small, "ENABLED", True)
        for module in (bm25_plain, dense_plain, near_plain):
            patch.setattr(module, "ALLOWANCE", Allowance(1e9))
        return by_kernels, work()


def assert_same(one: Any, other: Any) -> None:
    for a, b in zip(one, other, strict=True):
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes()


def test_an_allowance_is_used_up() -> None:
    """What fits is plain; the first that does not, and all after it, is not, however small."""
    allowance = Allowance(10)
    small.ENABLED = True
    try:
        assert [allowance.takes(units) for units in (6, 4, 1, 0.5)] == [True, True, False, False]
    finally:
        small.ENABLED = False


words = st.lists(
    st.sampled_from(["fault", "slip", "wave", "rock", "plate", "stress", "moon", "tide"]), min_size=1, max_size=9
)


@few
@given(
    st.lists(words.map(" ".join), min_size=1, max_size=40, unique=True),
    st.lists(words.map(" ".join), min_size=1, max_size=5),
    st.integers(1, 12),
    st.sampled_from(["lucene", "robertson", "atire", "bm25l", "bm25+"]),
)
def test_bm25(documents: list[str], queries: list[str], k: int, method: str) -> None:
    """The same documents and scores in every bit, ties by row, for all methods; and the same scores of given rows."""
    index = hfneg.BM25(method=method).open(hfneg.Corpus.from_texts(documents))
    assert_same(*both(lambda: index.search(queries, k)))
    rows = np.array([[(7 * i + j) % (len(documents) + 1) - 1 for j in range(6)] for i in range(len(queries))])
    one, other = both(lambda: index.score(queries, rows))
    assert one.tobytes() == other.tobytes()


@few
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 200), st.sampled_from([1, 3, 63, 64, 65, 200]))
def test_dense(seed: int, n: int, m: int, d: int) -> None:
    """The k best by the definition of a score, in blocks of any size, with ties and zero vectors among them."""
    draw = np.random.default_rng(seed)
    vectors = draw.choice([-1.5, 0.0, 0.25, 1e-3], size=(m, d)).astype(np.float32)
    vectors += draw.normal(size=(m, d)).astype(np.float32) * (seed % 2)
    queries = draw.normal(size=(n, d)).astype(np.float32)
    blocks = [(at, vectors[at : at + 70]) for at in range(0, m, 70)]
    found = dense_plain.search(queries, blocks, 11)
    assert found is not None
    assert_same(dense_kernels.search(queries, blocks, 11), found)
    of_query, of_vector = draw.integers(0, n, 50), draw.integers(0, m, 50)
    one, other = np.empty(50, np.float32), np.empty(50, np.float32)
    dense_kernels.score_pairs(queries, vectors, of_query, of_vector, one)
    dense_plain.score_pairs(queries, vectors, of_query, of_vector, other)
    assert one.tobytes() == other.tobytes()


def test_products_beyond_float32_are_left_to_the_kernels() -> None:
    """Which refuse them."""
    huge = np.full((2, 4), 1e30, dtype=np.float32)
    assert dense_plain.search(huge, [(0, huge)], 1) is None


@few
@given(st.integers(0, 10**6), st.sampled_from([0.5, 0.8, 0.9, 1.0]), st.booleans())
def test_near_duplicates_and_containment(seed: int, share: float, short: bool) -> None:
    """The same pairs of edited, repeated and cut texts, in the same order."""
    draw = np.random.default_rng(seed)
    base = ["".join(draw.choice(list("abcdefgh "), size=20 if short else 120)) for _ in range(3)]
    texts = []
    for _ in range(12):
        text = base[draw.integers(3)]
        at, length = draw.integers(0, len(text)), draw.integers(0, 9)
        edits = [text, text[at:], text[:at] + text[at + length :], f"{text} {base[0]}", text.upper(), "", "a"]
        texts.append(edits[draw.integers(len(edits))])
    lists = [Lists.of([draw.integers(0, 12, draw.integers(0, 6)).tolist() for _ in range(3)], np.int64) for _ in "ab"]
    column = pa.array(texts, pa.large_string())
    assert_same(*both(lambda: near.near_duplicates(column, *lists, share)))
    assert_same(*both(lambda: near.contained(column, *lists, share)))


def test_a_first_example_compiles_little(tmp_path: Path) -> None:
    """From the command line, BM25 and an encoder: of all kernels only those that count terms for an index."""
    script = """
        import sys
        import numba.core.dispatcher as dispatcher
        compiled, compile = [], dispatcher.Dispatcher.compile
        def counted(self, signature):
            compiled.append(self.py_func.__module__)
            return compile(self, signature)
        dispatcher.Dispatcher.compile = counted
        import numpy as np, hfneg
        from datasets import Dataset
        class Encoder:
            id = "letters"
            similarity_fn_name = "dot"
            def encode(self, texts):
                return np.array([[text.count(c) for c in "abcdefgh"] for text in texts], dtype=np.float32)
        texts = [f"{'fault wave rock slip'.split()[i % 4]} number {i} of the plate" for i in range(300)]
        asked = [f"which {text.split()[0]} is {i}" for i, text in enumerate(texts[:50])]
        rows = Dataset.from_dict({"q": asked, "a": texts[:50]})
        recipe = hfneg.Recipe(retrievers=[hfneg.BM25(), hfneg.Dense(Encoder())], k=20)
        hfneg.mine(rows, texts, recipe, anchor="q", positive="a", out=sys.argv[1])
        print(sorted({name for name in compiled if name.startswith("hfneg")}))
    """
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "kernels"), "HFNEG_STORE": str(tmp_path / "store")}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "mined")],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "['hfneg.steps.retrievers.bm25.counting']"


def test_that_kernels_are_compiled_is_said_once(tmp_path: Path) -> None:
    """Where something is large enough for them; not again in the next process, which finds them on the disk."""
    script = """
        import logging
        logging.basicConfig(format="%(message)s")
        logging.getLogger("hfneg").setLevel("INFO")
        from hfneg.base import small; from hfneg.data import near_duplicates as near
        small.ENABLED = False
        near.shingle_sets(["a text of some letters"])
        near.shingle_sets(["another"])
    """
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", textwrap.dedent(script)]
    said = [
        subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=True).stderr
        for _ in range(2)
    ]
    assert said == ["compiling kernels, once on this machine\n", ""]
