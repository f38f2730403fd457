"""BM25: equal to a plain reading of the formula, to bm25s, and to itself however the work is cut."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st
from places import SHARED
from properties import examples

from hfneg.base import store
from hfneg.base.files import checksums
from hfneg.data.corpus import Corpus
from hfneg.errors import SettingError, StoreError
from hfneg.steps.retrievers import bm25
from hfneg.steps.retrievers.bm25 import BM25, METHODS, SHIFTED, BM25Index

SCIFACT = SHARED / "data" / "scifact"
WORDS = r"(?u)\b\w\w+\b|(?<!\w')\b[^\W_]\b"
"""bm25s's own words, and words of one letter or digit but those that an apostrophe cuts off."""

CATS = [
    "The cat sat on the mat, and the cat purred.",
    "A dog chases the cats!",
    "Dogs and more dogs: dogs everywhere.",
    "",
    "the and of",
    "Ein Hund jagt die Katzen in den Häusern.",
    "Quantum chromodynamics describes quarks.",
]


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("store")
        patch.setenv(store.ENVIRONMENT_VARIABLE, str(root))
        yield root


def opened(texts: list[str], **options: Any) -> BM25Index:
    return BM25(**options).open(Corpus.from_texts(texts))


def peer_scores(texts: list[str], queries: list[str], options: dict[str, Any], stem: bool = False) -> Any:
    """What bm25s itself gives: float32 [queries, documents]; 0 for queries it cannot score."""
    import bm25s
    import Stemmer

    words: dict[str, Any] = {"show_progress": False, "return_ids": False, "token_pattern": WORDS}
    words |= {"stemmer": Stemmer.Stemmer("english")} if stem else {"stopwords": None}
    model = bm25s.BM25(**options)
    model.index(bm25s.tokenize(texts, **words), show_progress=False)
    known = [[w for w in query if w in model.vocab_dict] for query in bm25s.tokenize(queries, **words)]
    return np.array([model.get_scores(q) if q else np.zeros(len(texts), np.float32) for q in known])


def oracle(scores: Any, shares: Any, k: int) -> tuple[Any, Any]:
    """The k best of full score vectors, sorted by (-score, row), of the documents that share a term."""
    best = np.full((len(scores), k), -np.inf, dtype=np.float32)
    rows = np.full((len(scores), k), -1, dtype=np.int64)
    for i, (values, shared) in enumerate(zip(scores, shares, strict=True)):
        found = sorted(np.flatnonzero(shared), key=lambda row: (-values[row], row))[:k]
        rows[i, : len(found)], best[i, : len(found)] = found, values[found]
    return best, rows


def sharing(texts: list[str], queries: list[str], method: str) -> Any:
    """bool [queries, documents]: which pairs share a term that weighs something (one-letter-pair words)."""
    sets = [set(text.split()) for text in texts]
    frequency = Counter(word for one in sets for word in one)
    n = len(texts)  # what has no idf weighs nothing: words in half of the documents, or in all
    if method == "robertson":
        frequency = Counter({word: df for word, df in frequency.items() if (n - df + 0.5) / (df + 0.5) > 1})
    if method == "atire":
        frequency = Counter({word: df for word, df in frequency.items() if df < n})
    asked = [set(query.split()) & frequency.keys() for query in queries]
    return np.array([[not one.isdisjoint(wanted) for one in sets] for wanted in asked])


WORD = st.sampled_from(["aa", "bb", "cc", "dd", "ee", "ff"])
TEXT = st.lists(WORD, max_size=6).map(" ".join)


@examples(120)
@given(
    texts=st.lists(TEXT, min_size=1, max_size=40, unique=True),
    queries=st.lists(TEXT, min_size=1, max_size=4),
    k=st.integers(1, 50),
    method=st.sampled_from(METHODS),
)
def test_search_is_exact_in_total_order(texts: list[str], queries: list[str], k: int, method: str) -> None:
    """On small corpora full of ties every score and row equals bm25s's full score vector, sorted."""
    if not any(texts):
        texts = [*texts, "aa"]
    options = {"k1": 1.2, "b": 0.75, "delta": 0.5, "method": method}
    index = opened(texts, language=None, **options)
    expected = oracle(peer_scores(texts, queries, options), sharing(texts, queries, method), k)
    scores, rows = index.search(queries, k)
    assert scores.dtype == np.float32
    assert rows.dtype == np.int64
    np.testing.assert_array_equal(rows, expected[1])
    np.testing.assert_array_equal(scores, expected[0])


@pytest.mark.parametrize("method", METHODS)
def test_block_path_equals_the_oracle(method: str) -> None:
    """With thousands of documents, many ties and postings, the blocks with bounds lose no document."""
    rng = np.random.default_rng(0)
    words = [f"w{rank}" for rank in rng.zipf(1.3, size=40_000) % 60]
    cuts = np.cumsum(rng.integers(1, 9, size=8_000))
    texts = list(dict.fromkeys(" ".join(part) for part in np.split(np.array(words), cuts) if len(part)))
    queries = [" ".join(f"w{word}" for word in rng.zipf(1.3, size=5) % 70) for _ in range(9)]
    queries += ["w1", "w59 w58", ""]
    options = {"k1": 0.9, "b": 0.4, "delta": 1.0, "method": method}
    index, full = opened(texts, language=None, **options), peer_scores(texts, queries, options)
    shares = sharing(texts, queries, method)
    for k in (1, 7, 100, len(texts) + 3):
        expected = oracle(full, shares, k)
        scores, rows = index.search(queries, k)
        np.testing.assert_array_equal(rows, expected[1])
        np.testing.assert_array_equal(scores, expected[0])


@pytest.mark.parametrize("method", METHODS)
def test_scores_are_bit_equal_to_bm25s(method: str) -> None:
    """The canary: stems, stop words, weights and order of addition are those of bm25s, to the last bit."""
    rng = np.random.default_rng(0)
    words = [
        "running",
        "runs",
        "the",
        "flies",
        "Ärger",
        "naïve",
        "don't",
        "x",
        "42",
        "snake_case",
        "of",
        *map(str, range(100, 160)),
    ]
    texts = list(dict.fromkeys(" ".join(rng.choice(words, size=rng.integers(0, 30))) for _ in range(400)))
    queries = [" ".join(rng.choice(words, size=size)) for size in (1, 2, 5, 9, 20, 200)]
    options = {"k1": 1.5, "b": 0.6, "delta": 0.7, "method": method}
    expected = peer_scores(texts, queries, options, stem=True)
    index = opened(texts, **options)
    scores, rows = index.search(queries, len(texts))
    for i in range(len(queries)):
        found = rows[i] >= 0
        assert found.any()
        np.testing.assert_array_equal(scores[i][found], expected[i][rows[i][found]])
    everything = index.score(queries, np.tile(np.arange(len(texts)), (len(queries), 1)))
    shared = everything > 0
    np.testing.assert_array_equal(everything[shared], expected[shared])
    if method not in SHIFTED:
        np.testing.assert_array_equal(everything, expected)


def test_repeated_query_terms_count_each_time() -> None:
    """A word said twice in the query counts twice, as in bm25s."""
    index = opened(CATS)
    once, twice = index.search(["cat", "cat cat"], 1)[0][:, 0]
    assert twice == once + once


@pytest.mark.parametrize("method", METHODS)
def test_score_equals_search(method: str) -> None:
    """A pair scores the same by `score` as by `search`; 0 without a shared term, NaN for row -1."""
    index = opened(CATS, method=method)
    queries = ["cats and dogs", "quarks", "unheard", ""]
    scores, rows = index.search(queries, 9)
    again = index.score(queries, rows)
    np.testing.assert_array_equal(np.isnan(again), rows < 0)
    np.testing.assert_array_equal(again[rows >= 0], scores[rows >= 0])
    assert index.score(["quarks"], np.array([[0, 6, -1]]))[0, 0] == 0
    assert index.score([], np.empty((0, 3), dtype=np.int64)).shape == (0, 3)


def test_unusable_arguments_are_refused() -> None:
    """Rows that are no documents or of another shape, a negative k and a bare string are errors."""
    index = opened(CATS)
    for rows in ([[len(CATS)]], [[-2]], [[0], [1]]):
        with pytest.raises(SettingError, match="rows must"):
            index.score(["cat"], np.array(rows))
    with pytest.raises(SettingError, match="k must be"):
        index.search(["cat"], -1)
    with pytest.raises(SettingError, match="list of texts"):
        index.search("cat", 1)


def test_batches_and_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any split of the queries and any number of threads give equal values."""
    rng = np.random.default_rng(1)
    texts = [" ".join(rng.choice(list("abcdefgh"), size=6)).replace(" ", "x ") + f" n{i % 7}" for i in range(800)]
    queries = [" ".join(rng.choice(texts).split()[:4]) for _ in range(61)]
    index = opened(list(dict.fromkeys(texts)))
    monkeypatch.setattr(bm25, "_threads", lambda: 1)
    scores, rows = index.search(queries, 33)
    pairs = index.score(queries, rows)
    for threads, size in ((2, 61), (5, 61), (3, 7), (1, 1)):
        monkeypatch.setattr(bm25, "_threads", lambda threads=threads: threads)
        parts = [index.search(queries[i : i + size], 33) for i in range(0, len(queries), size)]
        np.testing.assert_array_equal(np.concatenate([part[0] for part in parts]), scores)
        np.testing.assert_array_equal(np.concatenate([part[1] for part in parts]), rows)
        np.testing.assert_array_equal(index.score(queries, rows), pairs)


def test_blocks_of_text_change_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An index built from many small blocks, postings in small pieces and in threads, is the same files."""
    from hfneg.steps.retrievers.bm25 import building

    corpus = Corpus.from_texts([f"{a} {b} word{a * b % 17} {b}" for a in range(30) for b in range(30)])
    whole = store.require("bm25", BM25().open(corpus).digest)
    monkeypatch.setattr(building, "TEXT_BLOCK", 100)
    monkeypatch.setattr(building, "POSTING_BLOCK", 37)
    for threads in (1, 3):
        parts = tmp_path / str(threads)
        parts.mkdir()
        from hfneg.steps.retrievers.bm25.tokens import open_tokenizer

        building.build(parts, corpus, BM25(), open_tokenizer("english", None), threads)
        built = [path for path in whole.iterdir() if path.name != checksums.MANIFEST]  # which the store adds
        assert sorted(path.name for path in parts.iterdir()) == sorted(path.name for path in built)
        for path in built:
            assert (parts / path.name).read_bytes() == path.read_bytes(), path.name


def test_vocabulary_grows() -> None:
    """Terms keep their numbers while the hash table grows, and hashes come back by number."""
    from hfneg.base.hashing import hash_texts
    from hfneg.steps.retrievers.bm25.building import Vocabulary

    vocabulary, terms = Vocabulary(), [f"term {i}" for i in range(20_000)]
    for start in range(0, len(terms), 999):
        np.testing.assert_array_equal(vocabulary.add(terms[start : start + 999])[:1], [start])
    np.testing.assert_array_equal(vocabulary.add(terms), np.arange(len(terms)))
    np.testing.assert_array_equal(vocabulary.hashes(), hash_texts(terms))


def test_language_decides_stems_and_stop_words() -> None:
    """English stems join plurals and drop stop words; German has its own; None keeps every word."""

    def found(query: str, language: str | None) -> list[int]:
        rows = opened(CATS, language=language).search([query], len(CATS))[1][0]
        return sorted(rows[rows >= 0].tolist())

    assert found("cat", "english") == [0, 1]
    assert found("cat", None) == [0]
    assert found("the", "english") == []
    assert found("the", None) == [0, 1, 4]
    assert found("Katze Haus", "german") == [5]
    assert found("die in den", "german") == []
    assert found("die in den", "english") == [5]
    assert found("quarks", "finnish") == [6]  # a stemmer without stop words


def _peer_words(text: str) -> list[str]:
    import bm25s

    options = {"stopwords": None, "return_ids": False, "show_progress": False, "token_pattern": WORDS}
    return bm25s.tokenize([text], **options)[0]  # type: ignore[no-any-return]


def test_words_are_those_of_bm25s() -> None:
    """Words equal bm25s.tokenize's and those of one letter, but that a combining mark stays with its word."""
    from hfneg.steps.retrievers.bm25.tokens import as_arrow, open_tokenizer

    def ours(text: str, language: str | None = None) -> list[str]:
        unique, codes, _ = open_tokenizer(language, None)(as_arrow([text]))
        return [unique[code] for code in codes]

    texts = [
        "It's 3.14, e-mail: ÀÉÎ ß straße_x … naïve 数学 ①② ½ x² I a",
        "\tTabs\nand\x00nul ",
        "ÇA ǅ ﬁn Ωμέγα",
        *CATS,
    ]
    for text in texts:
        assert ours(text) == _peer_words(text)
    assert ours("हिन्दी भाषा") == ["हिन्दी", "भाषा"]
    assert ours("cafe\u0301 au lait") == ["cafe\u0301", "au", "lait"]


def test_documents_and_queries_without_terms() -> None:
    """Empty texts, stop words alone and unknown words are no error: they find and are found by nothing."""
    index = opened(CATS)
    scores, rows = index.search(["", "the of and", "zzzz", "cat"], 3)
    assert (rows[:3] == -1).all()
    assert np.isneginf(scores[:3]).all()
    np.testing.assert_array_equal(rows[3], [0, 1, -1])
    assert index.search([], 3)[1].shape == (0, 3)
    assert index.search(["cat"], 0)[1].shape == (1, 0)
    for method in METHODS:
        nothing = opened(["", "the", "a b"], method=method)
        assert (nothing.search(["cat", ""], 2)[1] == -1).all()
        assert nothing.score(["cat"], np.array([[0, -1]]))[0, 0] == 0


def test_lone_surrogates_are_read() -> None:
    """A query that UTF-8 cannot hold is searched like any other; the surrogate separates words."""
    index = opened(["good bye cat", "dog"])
    np.testing.assert_array_equal(index.search(["bye\udfff", "good\ud800morning"], 1)[1], [[0], [0]])


def test_queries_may_be_arrow() -> None:
    """Arrow strings of either width, chunked or not, are queries like a list."""
    index = opened(CATS)
    expected = index.search(["cat", "dog"], 2)
    for queries in (pa.array(["cat", "dog"]), pa.chunked_array([["cat"], ["dog"]])):
        np.testing.assert_array_equal(index.search(queries, 2)[1], expected[1])


def test_an_index_is_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening again builds nothing; another setting or another corpus builds another index."""
    from hfneg.steps.retrievers.bm25 import building

    built, build = [], building.build
    monkeypatch.setattr(building, "build", lambda *given: (built.append(given), build(*given)))
    corpus = Corpus.from_texts(["reuse me", "or not"])
    digests = [
        BM25().open(corpus).digest,
        BM25().open(corpus).digest,
        BM25(k1=1.2, delta=9).open(corpus).digest,
    ]
    assert len(built) == 1
    assert len(set(digests)) == 1
    others = [BM25(k1=1), BM25(b=0), BM25(method="atire"), BM25(language=None), BM25(language="german")]
    others += [BM25(method="bm25+"), BM25(method="bm25+", delta=1)]
    digests += [other.open(corpus).digest for other in others]
    digests.append(BM25().open(Corpus.from_texts(["reuse me"])).digest)
    assert len(built) == 1 + len(others) + 1
    assert len(set(digests)) == len(built)


def test_pickle_is_small_and_stays_the_same() -> None:
    """The pickle holds settings and digests only, and does not change when files have been opened."""
    index = opened(CATS)
    before = pickle.dumps(index)
    expected = index.search(["cats"], 2)
    assert len(before) < 1_000
    assert pickle.dumps(index) == before
    scores, rows = pickle.loads(before).search(["cats"], 2)
    np.testing.assert_array_equal(rows, expected[1])
    np.testing.assert_array_equal(scores, expected[0])
    assert BM25(method="atire") == pickle.loads(pickle.dumps(BM25(method="atire")))
    assert repr(BM25()) == "BM25(k1=1.2, b=0.75, method='lucene', delta=0.5, language='english', tokenizer=None)"


def _child(index: BM25Index, queue: Any) -> None:
    queue.put((*index.search(["cats and dogs"] * 5, 3), bm25._threads()))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_find_the_same(method: str) -> None:
    """A forked child (one thread, after threads ran in the parent) and a spawned one give equal values."""
    index = opened(CATS)
    expected = index.search(["cats and dogs"] * 5, 3)
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=_child, args=(index, queue))
    process.start()
    scores, rows, threads = queue.get(timeout=120)
    process.join()
    np.testing.assert_array_equal(rows, expected[1])
    np.testing.assert_array_equal(scores, expected[0])
    assert threads == 1 or method == "spawn"


@pytest.fixture(scope="module")
def characters(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny BERT-like tokenizer that cuts Chinese into characters; it truncates, which must not matter."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tokenizer")
    pieces = ["[UNK]", "[PAD]", *"我喜欢猫你狗在家睡觉量子物理", "cat", "dog", "##s"]
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=4, pad_token="[PAD]", pad_id=1)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]").save_pretrained(folder)
    return str(folder)


CHINESE = ["我喜欢猫", "你喜欢狗。猫在家睡觉", "量子物理", "Cats 火星", "dog dogs"]


def test_a_tokenizer_finds_chinese(characters: str) -> None:
    """Pieces of a Hugging Face tokenizer are the terms: Chinese without spaces is found, [UNK] is no term."""
    index = opened(CHINESE, tokenizer=characters)
    _, rows = index.search(["猫睡觉", "量子", "CAT", "金星", "物理狗"], 2)
    np.testing.assert_array_equal(rows, [[1, 0], [2, -1], [3, -1], [-1, -1], [2, 1]])
    pairs = opened(CHINESE)  # without one: 睡觉 is shared, 猫睡 is not
    np.testing.assert_array_equal(pairs.search(["猫睡觉"], 2)[1], [[1, -1]])
    again = pickle.loads(pickle.dumps(index))
    np.testing.assert_array_equal(again.search(["猫睡觉"], 2)[1], [[1, 0]])


def test_a_changed_tokenizer_is_noticed(characters: str) -> None:
    """A tokenizer with other content under the same path makes another index; the old one refuses to run."""
    corpus = Corpus.from_texts(CHINESE)
    index = BM25(tokenizer=characters).open(corpus)
    path = Path(characters) / "tokenizer.json"
    before = path.read_text()
    try:
        path.write_text(json.dumps(json.loads(before) | {"pre_tokenizer": {"type": "Whitespace"}}))
        assert BM25(tokenizer=characters).open(corpus).digest != index.digest
        with pytest.raises(StoreError, match="another tokenizer"):
            pickle.loads(pickle.dumps(index)).search(["猫"], 1)
    finally:
        path.write_text(before)


def test_a_tokenizer_that_is_none_is_refused(tmp_path: Path) -> None:
    """A path without a tokenizer is a SettingError that names it."""
    with pytest.raises(SettingError, match=r"BM25\(tokenizer='.*nothing'\)"):
        opened(CATS, tokenizer=str(tmp_path / "nothing"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k1": -1}, "k1 must be a number of at least 0"),
        ({"k1": "1"}, "k1 must be"),
        ({"k1": True}, "k1 must be"),
        ({"k1": float("inf")}, "k1 must be"),
        ({"k1": 0, "method": "bm25l"}, "above 0 for method 'bm25l'"),
        ({"b": 1.1}, "b must be a number from 0 to 1"),
        ({"delta": float("nan")}, "delta must be"),
        ({"method": "lucen"}, "Did you mean 'lucene'"),
        ({"language": "englisch"}, "Did you mean 'english'"),
        ({"language": "chinese"}, "name a Hugging Face tokenizer with tokenizer="),
        ({"tokenizer": 3}, "tokenizer must be"),
        ({"tokenizer": ""}, "tokenizer must be"),
    ],
)
def test_settings_are_checked(options: dict[str, Any], message: str) -> None:
    """A value outside its range is refused when the step is built, with the value and the way out."""
    with pytest.raises(SettingError, match=message):
        BM25(**options)


def run_python(code: str, **environment: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_import_is_light() -> None:
    """Importing and building the settings loads no numba, bm25s, torch, transformers, faiss or datasets."""
    heavy = ("numba", "bm25s", "torch", "transformers", "faiss", "datasets")
    code = f"""
        import sys, hfneg.steps.retrievers.bm25
        hfneg.steps.retrievers.bm25.BM25()
        print([name for name in {heavy} if name in sys.modules])
    """
    assert run_python(code).strip() == "[]"


@pytest.mark.parametrize("loaded", [False, True])
def test_a_gpu_is_left_to_the_models(tmp_path: Path, loaded: bool) -> None:
    """bm25s would have JAX begin, which takes most of a GPU's memory; JAX itself is there for others as before."""
    (tmp_path / "jax").mkdir()
    (tmp_path / "jax" / "__init__.py").write_text("begun = []")
    (tmp_path / "jax" / "lax.py").write_text("import jax\ntop_k = lambda scores, k: jax.begun.append(k)")
    code = f"""
        import sys
        if {loaded}:
            import jax.lax
        import hfneg
        index = hfneg.BM25().open(hfneg.Corpus.from_texts(["faults slip", "waves travel"]))
        print(index.search(["faults"], 1)[1].tolist(), "bm25s" in sys.modules, "jax" in sys.modules)
        import jax.lax
        print(jax.begun)
    """
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    said = run_python(code, PYTHONPATH=path, HFNEG_STORE=str(tmp_path / "store"))
    assert said.splitlines() == [f"[[0]] True {loaded}", "[]"]


def test_kernels_run_where_no_cache_can_be_written() -> None:
    """Where numba finds no folder to cache in, the kernels compile without one."""
    code = """
        from numba.core import caching
        def refuse(self): raise OSError("read-only")
        caching._CacheLocator.ensure_cache_path = refuse
        import numpy as np
        from hfneg.steps.retrievers.bm25 import kernels as bm25_kernels
        values = np.arange(9)
        bm25_kernels.select_largest(values, 9, 2)
        print(sorted(values[:2].tolist()), type(bm25_kernels.select_largest._cache).__name__)
    """
    assert run_python(code).strip() == "[7, 8] NullCache"


@pytest.mark.skipif(not SCIFACT.is_dir(), reason="needs shared/data/scifact")
def test_scifact_is_as_published() -> None:
    """nDCG@10 on SciFact's test queries is the .679 that Lucene's BM25 has (BEIR, title and text), and .0067 more for
    words of one letter."""
    corpus = Corpus.from_beir(SCIFACT)
    texts = {(row := json.loads(line))["_id"]: row["text"] for line in (SCIFACT / "queries.jsonl").open()}
    relevant: dict[str, set[str]] = {}
    for line in (SCIFACT / "qrels/test.tsv").read_text().splitlines()[1:]:
        query, document, grade = line.split("\t")
        if int(grade) > 0:
            relevant.setdefault(query, set()).add(document)
    _, rows = BM25().open(corpus).search([texts[query] for query in relevant], 10)
    discount = 1 / np.log2(np.arange(2, 12))
    gains = [
        sum(discount[i] for i, id in enumerate(corpus.ids(found[found >= 0])) if id in wanted)
        / discount[: len(wanted)].sum()
        for wanted, found in zip(relevant.values(), rows, strict=True)
    ]
    assert len(gains) == 300
    # stems of Snowball's releases differ: without words of one letter 0.6802 with PyStemmer 2.2, 0.679 with 3.1
    assert np.mean(gains) == pytest.approx(0.6857, abs=0.0015)
