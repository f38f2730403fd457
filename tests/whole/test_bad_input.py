"""Bad input: refused with a typed error that says what to do, before any model is asked, with nothing left on disk.

One table: each case does one wrong thing through the public face. A case proves four facts about it: the type of
the error; that its message holds what was given, what was expected and the way out; that no model was asked; and
that the output folder and the store's scratch are byte for byte as before.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset, DatasetDict, Features, IterableDataset, Value, disable_progress_bars
from typer.testing import CliRunner

import hfneg
from hfneg.base import devices, store
from hfneg.cli import app

disable_progress_bars()

TEXTS = [f"document number {i} about topic {i % 3}" for i in range(12)]
QUERIES = ["which document is zero", "which document is one", "which document is two"]
SURROGATE = "half \ud800 a pair"
NAN = float("nan")


class Stub:
    """A model that counts how often it is asked."""

    def __init__(self, id: str, nan_for: str | None = None) -> None:
        self.id, self.nan_for, self.calls = id, nan_for, 0

    def encode(self, texts: Sequence[str]) -> Any:
        self.calls += 1
        vectors = np.array([[len(text) % 7 + 1, sum(map(ord, text)) % 11, 1.0] for text in texts], dtype=np.float32)
        vectors[[text == self.nan_for for text in texts]] = np.nan
        return vectors


class Own:
    """A user's own retriever, which returns whatever `answer(n, k)` says."""

    name = "own"

    def __init__(self, answer: Callable[[int, int], Any]) -> None:
        self.answer = answer

    def search(self, texts: Sequence[str], k: int) -> Any:
        return self.answer(len(texts), k)


class OwnWithScore(Own):
    """And which scores as `marks(rows)` says."""

    def __init__(self, marks: Callable[[Any], Any]) -> None:
        super().__init__(good)
        self.marks = marks

    def score(self, texts: Sequence[str], rows: Any) -> Any:
        return self.marks(rows)


class Second(hfneg.Dense):
    """A second bi-encoder in one recipe."""

    name = "second"


class Unpicklable(Own):
    """Holds what no pickle can hold: an open cursor, say."""

    def __init__(self) -> None:
        super().__init__(good)
        self.cursor = (row for row in range(3))


def good(n: int, k: int) -> tuple[Any, Any]:
    return falling(n, k), rows_of(n, k)


def falling(n: int, k: int) -> Any:
    return np.tile(np.arange(k, 0, -1.0), (n, 1))


def rows_of(n: int, k: int) -> Any:
    return np.tile(np.arange(k), (n, 1))


class World:
    """Twelve documents, three pairs, a model that counts its calls, and an output folder that is not there."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder, folder / "out"
        self.model = Stub(f"stub-{uuid.uuid4().hex}")

    def pairs(self, **columns: list[Any]) -> Dataset:
        return Dataset.from_dict({"query": QUERIES, "answer": TEXTS[:3], **columns})

    def docs(self, **columns: list[Any]) -> Dataset:
        return Dataset.from_dict({"_id": [f"d{i}" for i in range(12)], "text": TEXTS, **columns})

    def dense(self) -> hfneg.Dense:
        return hfneg.Dense(self.model)

    def recipe(self, **slots: Any) -> hfneg.Recipe:
        return hfneg.Recipe(**{"retrievers": self.dense(), "k": 5, "sampler": hfneg.TakeTop(2), **slots})

    def mine(self, pairs: Any = None, corpus: Any = None, recipe: Any = None, **options: Any) -> Any:
        return hfneg.mine(
            self.pairs() if pairs is None else pairs,
            self.docs() if corpus is None else corpus,
            self.recipe() if recipe is None else recipe,
            **{"out": self.out, "anchor": "query", "positive": "answer", **options},
        )

    def anchors(self, pairs: Any = None, corpus: Any = None, **options: Any) -> hfneg.Anchors:
        corpus = hfneg.Corpus.from_dataset(self.docs(), id="_id") if corpus is None else corpus
        pairs = self.pairs() if pairs is None else pairs
        return hfneg.Anchors(pairs, corpus, **{"anchor": "query", "positive": "answer", **options})

    def retrieve(self, retriever: Any, pairs: Any = None, num_proc: int | None = None, **options: Any) -> Dataset:
        transform = hfneg.Retrieve(self.anchors(), retriever, **{"k": 3, **options})
        mapped: Dataset = (pairs or self.pairs()).map(transform, batched=True, num_proc=num_proc)
        return mapped

    def select(self, candidates: Dataset | None = None, **options: Any) -> Dataset:
        candidates = candidates or self.retrieve(hfneg.BM25())
        mapped: Dataset = candidates.map(hfneg.Select(self.anchors(), **options), batched=True)
        return mapped

    def transform(self, **slots: Any) -> Any:
        return self.recipe(**slots).transform(self.anchors())

    def given(self, candidates: Any, scores: Any = None, anchor: Any = "which document is zero") -> Any:
        row = {"q": anchor, "found": candidates, "marks": scores}
        return hfneg.candidates_from([row], "found", anchor="q", scores=None if scores is None else "marks")

    def file(self, name: str, content: str | bytes = "") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def beir(self, **files: str | bytes) -> str:
        """A sound BEIR folder but for `files`: corpus, queries, train (qrels), or another qrels file."""
        corpus = "".join(json.dumps({"_id": f"d{i}", "title": "", "text": t}) + "\n" for i, t in enumerate(TEXTS))
        queries = "".join(json.dumps({"_id": f"q{i}", "text": t}) + "\n" for i, t in enumerate(QUERIES))
        sound = {"corpus": corpus, "queries": queries, "train": "query-id\tcorpus-id\tscore\nq0\td0\t1\nq1\td1\t1\n"}
        for name, content in {**sound, **files}.items():
            where = f"{name}.jsonl" if name in ("corpus", "queries") else f"qrels/{name}.tsv"
            self.file(f"beir/{where}", content)
        return str(self.folder / "beir")

    def mine_beir(self, **files: str | bytes) -> Any:
        return hfneg.mine(self.beir(**files), None, self.recipe(), out=self.out)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@dataclass(frozen=True)
class Case:
    id: str
    act: Callable[[World], Any]
    error: type[hfneg.HfnegError]
    says: tuple[str, ...]


def case(id: str, act: Callable[[World], Any], error: type[hfneg.HfnegError], *says: str) -> Case:
    return Case(id, act, error, says)


def stream(*rows: dict[str, Any]) -> IterableDataset:
    """A stream that does not know its columns before it is read."""

    def source() -> Iterator[dict[str, Any]]:
        yield from rows

    unknown = IterableDataset.from_generator(source)
    assert unknown.column_names is None
    return unknown


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Every file below `folder` with its bytes, every folder with None."""
    found = sorted(folder.rglob("*")) if folder.is_dir() else []
    return {str(p.relative_to(folder)): None if p.is_dir() else p.read_bytes() for p in found}


def scratch() -> list[Path]:
    folder = store.root() / "scratch"
    return list(folder.iterdir()) if folder.is_dir() else []


def refused(world: World, act: Callable[[World], Any], error: type[Exception], says: Sequence[str]) -> None:
    """The four facts."""
    before, existed, calls = snapshot(world.out), world.out.exists(), world.model.calls
    with pytest.raises(hfneg.HfnegError) as caught:
        act(world)
    message = str(caught.value)
    assert type(caught.value) is error, message
    for words in says:
        assert words in message, f"{words!r} is not in: {message}"
    assert world.model.calls == calls, "a model was asked"
    assert world.out.exists() == existed
    assert snapshot(world.out) == before
    assert scratch() == []


Column, Document, Empty, Input = hfneg.ColumnError, hfneg.DocumentError, hfneg.EmptyInputError, hfneg.InputError
Positive, Setting, RecipeWrong = hfneg.PositiveError, hfneg.SettingError, hfneg.RecipeError
Retriever, NonFinite, Process = hfneg.RetrieverError, hfneg.NonFiniteError, hfneg.ProcessError
Output, Exists, Resume, Store = hfneg.OutputError, hfneg.OutputExistsError, hfneg.ResumeError, hfneg.StoreError

PAIRS = [
    case(
        "anchor column misspelt",
        lambda w: w.mine(anchor="qurey"),
        Column,
        "'qurey'",
        "anchor",
        "'query', 'answer'",
        "Did you mean 'query'?",
    ),
    case("positive column misspelt", lambda w: w.mine(positive="ansver"), Column, "'ansver'", "Did you mean 'answer'?"),
    case("hidden column missing", lambda w: w.mine(hidden="more"), Column, "'more'", "hidden", "'query', 'answer'"),
    case(
        "hidden column of numbers with a point",
        lambda w: w.mine(w.pairs(more=[0.5, 1.5, 2.5]), hidden="more"),
        Column,
        "'more'",
        "float64",
        "expected ids or texts",
    ),
    case("a column that is a number", lambda w: w.mine(anchor=3), Column, "column 3", "'query', 'answer'"),
    case(
        "no columns said",
        lambda w: hfneg.mine(
            w.pairs(more=[1, 2, 3]).rename_columns({"query": "left", "answer": "right"}),
            w.docs(),
            w.recipe(),
            out=w.out,
        ),
        Column,
        "left, right, more",
        "anchor='COLUMN' and positive='COLUMN'",
    ),
    case(
        "one column for anchor and positive",
        lambda w: w.mine(positive="query"),
        Column,
        "both 'query'",
        "two columns",
    ),
    case(
        "None as an anchor",
        lambda w: w.mine(w.pairs(query=["a", None, "c"])),
        Column,
        "'query'",
        "row 1 holds None",
        "one text per row",
        "dataset.filter",
    ),
    case(
        "None as a positive",
        lambda w: w.mine(w.pairs(answer=["a", None, "c"])),
        Column,
        "'answer'",
        "row 1 holds None",
        "leaves such rows out",
    ),
    case(
        "None in a list of positives",
        lambda w: w.mine(w.pairs(answer=[["a"], ["b", None], ["c"]])),
        Column,
        "row 1 holds None",
        "leaves such rows out",
    ),
    case(
        "white space as an anchor",
        lambda w: w.mine(w.pairs(query=["a", " \n", "c"])),
        Column,
        "row 1",
        "empty text",
        "'query'",
        "leaves such rows out",
    ),
    case(
        "white space as a positive",
        lambda w: w.mine(w.pairs(answer=["a", "b", "\t"])),
        Positive,
        "row 2",
        "empty text",
        "'answer'",
        "leaves such rows out",
    ),
    case(
        "an empty list of positives",
        lambda w: w.mine(w.pairs(answer=[["a"], [], ["c"]])),
        Positive,
        "row 1",
        "empty list",
        "leaves such rows out",
    ),
    case(
        "a list as an anchor",
        lambda w: w.mine(w.pairs(query=[["a"], ["b"], ["c"]])),
        Column,
        "['a'], a list",
        "one text per row",
        "one row per text",
    ),
    case(
        "whole numbers as anchors",
        lambda w: w.mine(w.pairs(query=[1, 2, 3])),
        Column,
        "holds 1, a int",
        "one text per row",
        "turn its values into texts",
    ),
    case(
        "numbers with a point as positives",
        lambda w: w.mine(w.pairs(answer=[0.5, 1.5, 2.5])),
        Column,
        "holds 0.5, a float",
        "a text, an id or a list",
    ),
    case(
        "whole numbers that are no ids as positives",
        lambda w: w.mine(w.pairs(answer=[7, 8, 9])),
        Positive,
        "'answer' holds numbers",
        "none of them as an id",
        "column of the texts",
    ),
    case(
        "whole numbers as positives without a corpus",
        lambda w: hfneg.mine(w.pairs(answer=[7, 8, 9]), None, w.recipe(), out=w.out, anchor="query", positive="answer"),
        Positive,
        "'answer' holds numbers",
    ),
    case(
        "lists in a list of positives",
        lambda w: w.mine(w.pairs(answer=[[["a"]], [["b"]], [["c"]]])),
        Column,
        "['a'], a list",
        "one row per text",
    ),
    case(
        "lone surrogate in an anchor",
        lambda w: w.anchors([{"query": SURROGATE, "answer": "a"}]),
        Column,
        "'query'",
        "half \\ud800",
        "surrogate",
        "encode('utf-8', 'replace')",
    ),
    case(
        "lone surrogate in a positive",
        lambda w: w.anchors([{"query": "q", "answer": [SURROGATE]}]),
        Column,
        "'answer'",
        "half \\ud800",
        "encode('utf-8', 'replace')",
    ),
    case(
        "no rows",
        lambda w: w.mine(Dataset.from_dict({"query": [], "answer": []})),
        Empty,
        "'train'",
        "no rows",
    ),
    case("no splits", lambda w: w.mine(DatasetDict()), Empty, "no split", "at least one"),
    case(
        "one empty split",
        lambda w: w.mine(DatasetDict(train=w.pairs(), dev=w.pairs().select([]))),
        Empty,
        "'dev'",
        "no rows",
        "leave it out",
    ),
    case("an empty stream", lambda w: w.mine(stream()), Empty, "no rows"),
    case("no rows for Anchors", lambda w: w.anchors([]), Empty, "at least one row"),
    case(
        "a stream without the column",
        lambda w: w.mine(stream({"query": "a", "reply": "b"})),
        Column,
        "'answer'",
        "'query', 'reply'",
    ),
    case(
        "a stream without the column, for Anchors",
        lambda w: w.anchors(stream({"query": "a", "reply": "b"})),
        Column,
        "'answer'",
        "'query', 'reply'",
    ),
    case(
        "a stream without the hidden column",
        lambda w: w.mine(stream({"query": "a", "answer": "b"}), hidden="more"),
        Column,
        "'more'",
        "'query', 'answer'",
    ),
    case(
        "a stream with our column",
        lambda w: w.mine(stream({"query": "a", "answer": "b", "hard_negatives": ["c"]})),
        Column,
        "'hard_negatives'",
        "remine=True",
    ),
    case(
        "splits whose columns have other names",
        lambda w: w.mine(DatasetDict(train=w.pairs(), dev=w.pairs().rename_column("query", "question"))),
        Column,
        "'query'",
        "'question', 'answer'",
    ),
    case(
        "splits of which one has a further column",
        lambda w: w.mine(DatasetDict(train=w.pairs(), dev=w.pairs(more=[1, 2, 3]))),
        Column,
        "'more'",
        "'dev'",
        "no column in the split 'train'",
        "mine each split by itself",
    ),
    case(
        "splits whose columns have other types",
        lambda w: w.mine(DatasetDict(train=w.pairs(), dev=w.pairs(answer=[["a"], ["b"], ["c"]]))),
        Column,
        "'answer'",
        "List",
        "cast it",
    ),
    case(
        "a column with our name",
        lambda w: w.mine(w.pairs(hard_negatives=[["x"]] * 3)),
        Column,
        "'hard_negatives'",
        "remine=True",
        "rename",
    ),
    case(
        "texts instead of rows",
        lambda w: w.mine(["a", "b"]),
        Input,
        "a list",
        "expected a Dataset",
        "a list of rows (dictionaries)",
    ),
    case(
        "rows of no one type",
        lambda w: w.mine([{"query": "a", "answer": "b"}, {"query": 1, "answer": "c"}]),
        Column,
        "pairs, a list",
        "one type",
    ),
    case("a row whose key is a number", lambda w: w.mine([{1: "a", 2: "b"}]), Input, "the key 1", "are texts"),
    case("a file that is not there", lambda w: w.mine("pairs.csv"), Input, "'pairs.csv'", "no file or folder"),
    case("nothing for Anchors", lambda w: w.anchors(3), Input, "3, a int", "expected a Dataset"),
    case(
        "another format for positives_are",
        lambda w: w.mine(positives_are="ids"),
        Setting,
        "positives_are='ids'",
        "'auto', 'text', 'id'",
    ),
    case("another word for missing", lambda w: w.mine(missing="drop"), Setting, "missing='drop'", "'add', 'refuse'"),
]

CORPUS = [
    case("empty corpus, a list", lambda w: w.mine(corpus=[]), Empty, "corpus is empty", "at least one document"),
    case("empty corpus, a dataset", lambda w: w.mine(corpus=w.docs().select([])), Empty, "corpus is empty"),
    case(
        "None as a document",
        lambda w: w.mine(corpus=w.docs(text=[*TEXTS[:11], None])),
        Document,
        "'d11'",
        "row 11",
        "None",
        "one text",
        "remove the row",
    ),
    case(
        "a list as a document",
        lambda w: w.mine(corpus=w.docs(text=[[text] for text in TEXTS])),
        Document,
        "'d0'",
        "a list",
        "one text",
    ),
    case(
        "numbers as documents",
        lambda w: w.mine(corpus=w.docs(text=list(range(12)))),
        Document,
        "'d0'",
        "0, a int",
        "give it a text",
    ),
    case("numbers as titles", lambda w: w.mine(corpus=w.docs(title=list(range(12)))), Document, "title is 0", "a int"),
    case(
        "one id for two texts",
        lambda w: w.mine(corpus=w.docs(_id=["same"] * 2 + [f"d{i}" for i in range(10)])),
        Document,
        "'same'",
        "make them unique",
        "leave id= out",
    ),
    case(
        "None as an id",
        lambda w: w.mine(corpus=w.docs(_id=[None, *map(str, range(11))])),
        Document,
        "row 0",
        "no id",
        "leave id= out",
    ),
    case(
        "a list as an id",
        lambda w: w.mine(corpus=w.docs(_id=[[str(i)] for i in range(12)])),
        Document,
        "['0'], a list",
        "a text or a whole number",
    ),
    case(
        "a number with a point as an id",
        lambda w: w.mine(corpus=w.docs(_id=[float(i) for i in range(12)])),
        Document,
        "0.0, a float",
        "turn the column into texts",
    ),
    case(
        "lone surrogate in a document",
        lambda w: hfneg.Corpus.from_texts(["sound", SURROGATE]),
        Document,
        "document '1'",
        "half \\ud800",
        "remove the row",
        "encode('utf-8', 'replace')",
    ),
    case(
        "lone surrogate in an id",
        lambda w: hfneg.Corpus.from_dataset([{"text": "a", "id": SURROGATE}], id="id"),
        Document,
        "its id",
        "half \\ud800",
    ),
    case(
        "text column misspelt",
        lambda w: hfneg.Corpus.from_dataset(w.docs(), text="txt"),
        Column,
        "'txt'",
        "Did you mean 'text'?",
    ),
    case(
        "id column missing", lambda w: hfneg.Corpus.from_dataset(w.docs(), id="key"), Column, "'key'", "'_id', 'text'"
    ),
    case(
        "no column that is called text",
        lambda w: w.mine(corpus=Dataset.from_dict({"left": ["a"], "right": ["b"]})),
        Column,
        "left, right",
        "Corpus.from_dataset(dataset, text=...",
    ),
    case(
        "one text instead of a list",
        lambda w: hfneg.Corpus.from_texts("a text"),
        Input,
        "'a text'",
        "list of texts",
    ),
    case("None for documents", lambda w: hfneg.Corpus.from_dataset(None), Input, "None", "pass a Dataset"),  # type: ignore[arg-type]
    case(
        "splits for a corpus",
        lambda w: w.mine(corpus=DatasetDict(a=w.docs(), b=w.docs())),
        Input,
        "a, b",
        "one of them",
    ),
    case("numbers for a corpus", lambda w: w.mine(corpus=[1, 2]), Input, "no corpus", "list of texts"),
    case(
        "a corpus file that is not there",
        lambda w: w.mine(corpus=str(w.folder / "docs.jsonl")),
        Input,
        "docs.jsonl",
    ),
    case(
        "a list for Anchors' corpus",
        lambda w: w.anchors(corpus=TEXTS),
        Input,
        "corpus is a list",
        "Corpus.from_texts",
    ),
    case(
        "positives that the corpus lacks, refused",
        lambda w: w.mine(w.pairs(answer=["u", "v", TEXTS[2]]), missing="refuse"),
        Positive,
        "2 of 3",
        "'u', 'v'",
        "missing='add'",
    ),
    case(
        "ids that the corpus lacks",
        lambda w: w.mine(w.pairs(answer=["d0", "d1", "d99"]), positives_are="id"),
        Positive,
        "1 of 3",
        "'d99'",
        "check that the corpus has these ids",
    ),
    case(
        "positives that are texts as well as ids",
        lambda w: w.anchors(
            [{"query": "q", "answer": "b"}], hfneg.Corpus.from_dataset([{"text": "b", "i": "b"}], id="i")
        ),
        Positive,
        "'answer'",
        "positives_are='text'",
    ),
]

SETTINGS = [
    case("deeper that is not deeper", lambda w: w.recipe(k=9, deeper=9), RecipeWrong, "'deeper'", "k=9", "more than k"),
    case("deeper of nothing", lambda w: w.recipe(deeper=0), RecipeWrong, "'deeper'", "greater than or equal to 1"),
    case(
        "deeper of a transform",
        lambda w: hfneg.Mine(hfneg.Retrieve(w.anchors(), w.dense(), k=5), hfneg.Select(w.anchors()), deeper=5),
        Setting,
        "deeper=5",
        "above k (5)",
    ),
    case("a policy for short anchors that is none", lambda w: w.recipe(short=hfneg.TakeTop(3)), RecipeWrong, "'short'"),
    case("a seed of Fill", lambda w: hfneg.Fill(seed=-1), Setting, "Fill(seed=-1)", "0 or more"),
    case("hubs of nobody", lambda w: hfneg.Hubs(most=0), Setting, "Hubs(most=0)", "at least 1"),
    case(
        "hubs in .map",
        lambda w: w.recipe(k=5, filters=hfneg.Hubs(3)).transform(w.anchors())(w.pairs()[:]),
        Setting,
        "Hubs(most=3)",
        "hfneg.mine(",
    ),
    case("k of nothing", lambda w: hfneg.Retrieve(w.anchors(), w.dense(), k=0), Setting, "k=0", "at least 1"),
    case(
        "k that is a truth", lambda w: hfneg.Retrieve(w.anchors(), w.dense(), k=True), Setting, "k=True", "whole number"
    ),
    case("k of a recipe of nothing", lambda w: w.recipe(k=0), RecipeWrong, "'k'", "greater than or equal to 1", "0"),
    case("k of a recipe that is a truth", lambda w: w.recipe(k=True), RecipeWrong, "'k'", "valid integer", "True"),
    case("k of a recipe that is a text", lambda w: w.recipe(k="5"), RecipeWrong, "'k'", "valid integer", "'5'"),
    case("n of nothing", lambda w: w.mine(n=0), Setting, "TakeTop(n=0)", "at least 1"),
    case("k that is a text, beside a recipe", lambda w: w.mine(k="5"), RecipeWrong, "'k'", "valid integer", "'5'"),
    case(
        "a model for a recipe without one",
        lambda w: w.mine(recipe="bm25", model=w.model),
        RecipeWrong,
        "no place",
        "retrievers are BM25",
        "'hybrid'",
    ),
    case(
        "a model for a recipe with two",
        lambda w: w.mine(recipe=w.recipe(retrievers=[w.dense(), Second(w.model)]), model=w.model),
        RecipeWrong,
        "no place",
        "retrievers.0.model",
    ),
    case(
        "a retriever for a model",
        lambda w: w.mine(recipe=w.recipe(), model=hfneg.BM25()),
        Setting,
        "is a retriever",
        "Recipe(retrievers=[...])",
    ),
    case(
        "a function for a teacher",
        lambda w: w.mine(teacher=len),
        Setting,
        "is a function",
        "FunctionTeacher(function, id=",
    ),
    case(
        "a recipe of no such name",
        lambda w: w.mine(recipe="hybird"),
        RecipeWrong,
        "'hybird'",
        "hybrid",
        "hfneg recipes",
        "Did you mean 'hybrid'?",
    ),
    case("no negatives", lambda w: hfneg.TakeTop(n=0), Setting, "TakeTop(n=0)", "at least 1"),
    case("n that is a truth", lambda w: hfneg.TakeTop(n=True), Setting, "TakeTop(n=True)", "whole number"),
    case("a seed below zero", lambda w: hfneg.TakeRandom(2, seed=-1), Setting, "seed=-1", "0 or more"),
    case("a band upside down", lambda w: hfneg.Band(low=2.0, high=1.0), Setting, "high=1.0", "at least low (2.0)"),
    case("a band of NaN", lambda w: hfneg.Band(low=NAN), Setting, "low=nan", "a number"),
    case("no margin", lambda w: hfneg.Margin(), Setting, "relative=None", "or absolute", "not both"),
    case("a margin of text", lambda w: hfneg.Margin(relative="5%"), Setting, "'5%'", "a share"),  # type: ignore[arg-type]
    case("a margin of 5 instead of 5%", lambda w: hfneg.Margin(relative=5), Setting, "relative=5", "0 to below 1"),
    case(
        "a margin against what is no number",
        lambda w: hfneg.Margin(relative=0.1, against="least"),  # type: ignore[arg-type]
        Setting,
        "against='least'",
        "'max', 'mean', 'min'",
    ),
    case("a rank window of nothing", lambda w: hfneg.RankWindow(skip=5, stop=5), Setting, "stop=5", "above skip (5)"),
    case("a guard of text", lambda w: hfneg.Guard(near_duplicate="0.9"), Setting, "'0.9'", "0.5 to 1.0"),  # type: ignore[arg-type]
    case("weights of a list", lambda w: hfneg.RRF(weights=[1.0]), Setting, "weights=[1.0]", "by source name"),  # type: ignore[arg-type]
    case(
        "weights of a source that is not there",
        lambda w: w.retrieve([hfneg.BM25(), w.dense()], fusion=hfneg.RRF(weights={"bm26": 1.0})),
        Setting,
        "'bm26'",
        "'bm25', 'dense'",
        "Did you mean 'bm25'?",
    ),
    case("a fusion by name", lambda w: w.retrieve(w.dense(), fusion="rrf"), Setting, "'rrf'", "RRF()"),
    case("pairs instead of Anchors", lambda w: hfneg.Retrieve(w.pairs(), w.dense()), Setting, "a Dataset", "Anchors("),
    case("a sampler that is a number", lambda w: w.select(sampler=7), Setting, "7 is no sampler", "TakeTop(7)"),
    case("a filter by name", lambda w: w.select(filters=["Margin"]), Setting, "'Margin'", "Margin(relative=0.05)"),
    case(
        "by= misspelt",
        lambda w: w.transform(filters=[hfneg.Margin(relative=0.1, by="dens")]),
        Setting,
        "by='dens'",
        "'score', 'dense'",
        "Did you mean 'dense'?",
    ),
    case(
        "by= misspelt, in mine",
        lambda w: w.mine(recipe=w.recipe(sampler=hfneg.TakeSimANS(2, by="bm25"))),
        Setting,
        "by='bm25'",
        "'score', 'dense'",
    ),
    case(
        "by= misspelt, in a staged map",
        lambda w: w.select(filters=[hfneg.Band(low=0.0, by="bm52")]),
        Setting,
        "by='bm52'",
        "Did you mean 'bm25'?",
    ),
    case(
        "a margin by a source that cannot score",
        lambda w: w.mine(recipe=w.recipe(retrievers=hfneg.RandomDocuments(), filters=hfneg.Margin(relative=0.1))),
        Setting,
        "Margin(relative=0.1",
        "'random' cannot score",
        "RankWindow",
    ),
    case(
        "a margin by one of two sources that cannot score",
        lambda w: w.transform(
            retrievers=[w.dense(), hfneg.RandomDocuments()], filters=hfneg.Margin(relative=0.1, by="random")
        ),
        Setting,
        "'random' cannot score",
        "score(texts, rows)",
    ),
    case(
        "a margin by a source that cannot score, in a staged map",
        lambda w: w.select(w.retrieve(hfneg.RandomDocuments()), filters=hfneg.Margin(relative=0.1)),
        Setting,
        "by 'score'",
        "score(texts, rows)",
    ),
    case("a device that is a number", lambda w: w.mine(devices=3), Setting, "devices=3", "['cuda:0', 'cpu']"),
    case("a device without a name", lambda w: w.mine(devices=["cpu", ""]), Setting, "['cpu', '']", "'all'"),
    case("an executor that is none", lambda w: w.mine(executor="ray"), Setting, "executor='ray'", "LocalExecutor"),
    case(
        "a folder that is no model",
        lambda w: hfneg.Dense(w.folder / "no" / "model"),
        Setting,
        "no such folder",
        "Hub id",
    ),
    case("a model that is none", lambda w: hfneg.Dense(3), Setting, "a int", "encode(list of texts)"),
]

RECIPE = [
    case("an unknown slot", lambda w: w.recipe(samplr=1), RecipeWrong, "'samplr'", "Did you mean 'sampler'?"),
    case(
        "an unknown slot in YAML",
        lambda w: hfneg.Recipe.from_yaml("filter: Band(low=0.1)"),
        RecipeWrong,
        "'filter'",
        "retrievers, k, fusion",
        "Did you mean 'filters'?",
    ),
    case(
        "an unknown setting of a step",
        lambda w: hfneg.Recipe.from_yaml("retrievers: BM25(metod='lucene')"),
        RecipeWrong,
        "BM25 has no setting 'metod'",
        "k1, b",
        "Did you mean 'method'?",
    ),
    case(
        "an unknown step",
        lambda w: hfneg.Recipe.from_yaml("sampler: TakeTopp(3)"),
        RecipeWrong,
        "'TakeTopp'",
        "Did you mean 'TakeTop'?",
    ),
    case(
        "a step of the wrong kind",
        lambda w: hfneg.Recipe.from_yaml("sampler: Band(low=0.1)"),
        RecipeWrong,
        "'sampler'",
        "instance of Sampler",
        "Band(",
    ),
    case(
        "a sampler among the retrievers",
        lambda w: hfneg.Recipe.from_yaml("retrievers: [TakeTop(3)]"),
        Setting,
        "TakeTop(n=3) is no retriever",
        "search(texts, k)",
    ),
    case(
        "a mapping for a step",
        lambda w: w.recipe(sampler={"n": 3}),
        RecipeWrong,
        "'sampler'",
        "instance of Sampler",
        "{'n': 3}",
    ),
    case(
        "a text for a step", lambda w: w.recipe(sampler="TakeTop(3)"), RecipeWrong, "'TakeTop(3)'", "Recipe.from_yaml"
    ),
    case("a bad value in YAML", lambda w: hfneg.Recipe.from_yaml("sampler: TakeTop(0)"), Setting, "TakeTop(n=0)"),
    case(
        "an expression in YAML",
        lambda w: hfneg.Recipe.from_yaml("sampler: TakeTop(1 if x else 2)"),
        RecipeWrong,
        "plain values",
    ),
    case("a setting too few", lambda w: hfneg.Recipe.from_yaml("sampler: TakeTop()"), RecipeWrong, "TakeTop needs n="),
    case(
        "an import path without trust",
        lambda w: hfneg.Recipe.from_yaml("sampler: my_package.samplers.Mine(3)"),
        RecipeWrong,
        "'my_package.samplers.Mine'",
        "runs its code",
        "trust=True",
    ),
    case(
        "an import path to nothing",
        lambda w: hfneg.Recipe.from_yaml("sampler: my_package.samplers.Mine(3)", trust=True),
        RecipeWrong,
        "cannot load",
        "my_package",
    ),
    case("broken YAML", lambda w: hfneg.Recipe.from_yaml("filters: [Band(low=1)"), RecipeWrong, "no valid YAML"),
    case(
        "YAML that runs code",
        lambda w: hfneg.Recipe.from_yaml("k: !!python/name:os.system"),
        RecipeWrong,
        "no valid YAML",
    ),
    case("a list for a recipe", lambda w: hfneg.Recipe.from_yaml("[BM25]"), RecipeWrong, "a list", "mapping of slots"),
    case("no recipe file", lambda w: w.mine(recipe="no/recipe.yaml"), RecipeWrong, "'no/recipe.yaml'"),
    case(
        "a recipe file that is no text",
        lambda w: hfneg.Recipe.load(w.file("recipe.yaml", b"\xff\xfe\x00")),
        RecipeWrong,
        "recipe.yaml",
        "no text file",
    ),
    case("a mapping for a recipe", lambda w: w.mine(recipe={"k": 5}), RecipeWrong, "a dict", "Recipe(k=50"),
    case(
        "a change of an unknown slot",
        lambda w: w.recipe().with_settings(["kk=5"]),
        RecipeWrong,
        "'kk=5'",
        "Did you mean 'k'?",
    ),
    case("a change without a value", lambda w: w.recipe().with_settings(["k"]), RecipeWrong, "slot=value"),
    case(
        "a change that is no YAML", lambda w: w.recipe().with_settings(["k=[5"]), RecipeWrong, "'k=[5'", "no valid YAML"
    ),
    case("a change within a number", lambda w: w.recipe().with_settings(["k.n=5"]), RecipeWrong, "'k.n=5'"),
    case(
        "a change of an unknown step",
        lambda w: w.recipe().with_settings(["filters.margin.relative=0.1"]),
        RecipeWrong,
        "'margin'",
    ),
]

RETRIEVERS = [
    case("no retriever", lambda w: w.retrieve([]), Setting, "one to eight", "0 were given"),
    case("a retriever by name", lambda w: w.retrieve("bm25"), Setting, "'bm25' is no retriever", "BM25()"),
    case("a class for a retriever", lambda w: w.retrieve(hfneg.BM25), Setting, "BM25 is a class", "BM25(...)"),
    case(
        "two retrievers of one name",
        lambda w: w.retrieve([hfneg.BM25(), hfneg.BM25(k1=2.0)]),
        Setting,
        "both called 'bm25'",
        "another name",
    ),
    case(
        "a retriever called score",
        lambda w: w.retrieve(w_named("score")),
        Setting,
        "'score'",
        "letters, digits",
    ),
    case("a retriever called as a path", lambda w: w.retrieve(w_named("../x")), Setting, "'../x'", "letters, digits"),
    case(
        "too few columns",
        lambda w: w.retrieve(Own(lambda n, k: (falling(n, k - 1), rows_of(n, k - 1)))),
        Retriever,
        "own.search",
        "(3, 3)",
        "[3, 4]",
        "row -1",
    ),
    case(
        "one array instead of two",
        lambda w: w.retrieve(Own(falling)),
        Retriever,
        "own.search",
        "a ndarray",
        "(scores, rows)",
        "[3, 4]",
    ),
    case(
        "nothing returned", lambda w: w.retrieve(Own(lambda n, k: None)), Retriever, "returned None", "(scores, rows)"
    ),
    case(
        "lists of several lengths",
        lambda w: w.retrieve(Own(lambda n, k: ([[1.0], [2.0, 1.0], []], [[0], [0, 1], []]))),
        Retriever,
        "own.search",
        "[3, 4]",
    ),
    case(
        "ids instead of rows",
        lambda w: w.retrieve(Own(lambda n, k: (falling(n, k), np.full((n, k), "d1")))),
        Retriever,
        "own.search",
        "corpus.rows_of_ids",
    ),
    case(
        "rows that are no whole numbers",
        lambda w: w.retrieve(Own(lambda n, k: (falling(n, k), falling(n, k)))),
        Retriever,
        "float64",
        "rows whole numbers",
    ),
    case(
        "a row behind the corpus",
        lambda w: w.retrieve(Own(lambda n, k: (falling(n, k), rows_of(n, k) + 9))),
        Retriever,
        "row 12",
        "0 .. 11",
    ),
    case(
        "a row below -1",
        lambda w: w.retrieve(Own(lambda n, k: (falling(n, k), rows_of(n, k) - 2))),
        Retriever,
        "row -2",
        "0 .. 11",
    ),
    case(
        "scores that rise",
        lambda w: w.retrieve(Own(lambda n, k: (-falling(n, k), rows_of(n, k)))),
        Retriever,
        "best first",
        "'which document is zero'",
        "sort them",
    ),
    case(
        "NaN for a document",
        lambda w: w.retrieve(Own(lambda n, k: (np.full((n, k), NAN), rows_of(n, k) + 1))),
        NonFinite,
        "own",
        "document 'd1'",
        "nan",
        "'which document is zero'",
    ),
    case(
        "NaN for a document, in mine",
        lambda w: w.mine(recipe=w.recipe(retrievers=Own(lambda n, k: (np.full((n, k), NAN), rows_of(n, k))))),
        NonFinite,
        "document 'd0'",
        "finite",
    ),
    case(
        "a wrong shape, in mine",
        lambda w: w.mine(recipe=w.recipe(retrievers=Own(lambda n, k: (falling(k, n), rows_of(k, n))))),
        Retriever,
        "own.search",
        "[3, 6]",
    ),
    case(
        "a positive's score of another shape",
        lambda w: w.retrieve(OwnWithScore(lambda rows: np.ones(2))),
        Retriever,
        "own.score",
        "(2,)",
        "same shape",
    ),
    case("a positive's score of nothing", lambda w: w.retrieve(OwnWithScore(lambda rows: ["x"])), Retriever, "['x']"),
    case(
        "a positive's score of NaN",
        lambda w: w.retrieve(OwnWithScore(lambda rows: np.full(rows.shape, NAN))),
        NonFinite,
        "document 'd0'",
        "nan",
    ),
    case(
        "a retriever that no pickle holds",
        lambda w: w.mine(recipe=w.recipe(retrievers=Unpicklable())),
        Setting,
        "cannot be pickled",
        "generator",
        "__getstate__",
    ),
    case(
        "forked workers for a model",
        lambda w: w.retrieve(w.dense(), num_proc=2),
        Process,
        "forked",
        "num_proc=None",
        "hfneg.mine",
    ),
    case(
        "candidates without the column",
        lambda w: hfneg.candidates_from(w.pairs(), "found", anchor="query"),
        Column,
        "'found'",
    ),
    case(
        "candidates and scores of other lengths",
        lambda w: w.given(["d1", "d2"], [0.5]),
        Column,
        "2 candidates",
        "1 scores",
        "one score per candidate",
    ),
    case("scores of candidates with NaN", lambda w: w.given(["d1", "d2"], [0.5, NAN]), Column, "nan", "finite"),
    case("scores of candidates with texts", lambda w: w.given(["d1"], ["high"]), Column, "'high'", "leave scores= out"),
    case("one score instead of a list", lambda w: w.given(["d1"], 0.5), Column, "0.5", "a list of finite numbers"),
    case("candidates None", lambda w: w.given(None), Column, "'found'", "None"),
    case("candidates of no rows", lambda w: hfneg.candidates_from([], "found", anchor="q"), Empty, "no rows"),
    case(
        "candidates of no dataset", lambda w: hfneg.candidates_from(None, "found", anchor="q"), Input, "None", "Dataset"
    ),
]


def w_named(name: str) -> Own:
    """A sound retriever of this name."""
    own = Own(good)
    own.name = name
    return own


def changed(world: World, name: str, values: list[Any]) -> Dataset:
    """Candidates of which a user has changed a column."""
    candidates = world.retrieve(hfneg.BM25())
    return Dataset.from_dict({**candidates.to_dict(), name: values})


def with_filter(keep: Callable[[Any], Any], verdict: str = "own") -> hfneg.Filter:
    """A user's own filter."""

    @dataclass(frozen=True)
    class Own(hfneg.Filter):
        def keep(self, pool: Any) -> Any:
            return keep(pool)

    Own.verdict = verdict
    return Own()


def with_sampler(places: Callable[[Any], Any]) -> hfneg.Sampler:
    """A user's own sampler of two negatives."""

    class Own(hfneg.Sampler):
        def places(self, pool: Any) -> Any:
            return places(pool)

    return Own(2)


class Plain(hfneg.Filter):
    """A filter that is no dataclass."""

    verdict = "plain"


STAGES = [
    case(
        "candidates without their sources",
        lambda w: w.select(w.retrieve(hfneg.BM25()).remove_columns("candidate_sources")),
        Column,
        "'candidate_sources'",
        "hfneg.Retrieve",
    ),
    case(
        "candidates of two sources without their ranks",
        lambda w: w.select(
            w.retrieve([hfneg.BM25(), hfneg.RandomDocuments()]).remove_columns("candidate_source_ranks")
        ),
        Column,
        "'candidate_source_ranks'",
        "run Retrieve again",
    ),
    case(
        "candidates with too few scores",
        lambda w: w.select(changed(w, "candidate_scores", [[1.0]] * 3)),
        Column,
        "12 rows, but 3",
        "run Retrieve again",
    ),
    case(
        "candidate rows None",
        lambda w: w.select(changed(w, "candidate_rows", [None] * 3)),
        Column,
        "NoneType",
        "run Retrieve again",
    ),
    case(
        "candidates of another corpus",
        lambda w: w.select(changed(w, "candidate_rows", [[99] * 4] * 3)),
        Column,
        "99 of 12 documents",
        "with the same anchors",
    ),
    case("a sampler that is 0", lambda w: w.select(sampler=0), Setting, "0 is no sampler", "TakeTop(7)"),
    case("a guard that is False", lambda w: w.select(guard=False), Setting, "False is no guard", "Guard(...)"),
    case(
        "a filter that is no dataclass",
        lambda w: w.select(filters=Plain()),
        Setting,
        "Plain",
        "@dataclass(frozen=True)",
    ),
    case(
        "a filter that bears our verdict",
        lambda w: w.select(filters=with_filter(lambda pool: pool.rows > 0, "selected")),
        Setting,
        "'selected'",
        "other than",
    ),
    case(
        "a filter that keeps numbers",
        lambda w: w.select(filters=with_filter(lambda pool: pool.rows)),
        Setting,
        "keep returned int64",
        "one bool per candidate",
    ),
    case(
        "a filter that keeps one for all",
        lambda w: w.select(filters=with_filter(lambda pool: np.array([True]))),
        Setting,
        "shape (1,)",
        "shape (12,)",
    ),
    case(
        "a sampler that gives NaN",
        lambda w: w.select(sampler=with_sampler(lambda pool: pool.rows * NAN)),
        Setting,
        "places returned float64",
        "not NaN",
    ),
    case(
        "a sampler of another length",
        lambda w: w.select(sampler=with_sampler(lambda pool: np.ones(5))),
        Setting,
        "shape (5,)",
        "shape (12,)",
    ),
    case(
        "Select before Retrieve",
        lambda w: w.select(w.pairs()),
        Column,
        "'candidate_rows'",
        "hfneg.Retrieve, which comes before Select",
    ),
    case(
        "Retrieve twice",
        lambda w: w.retrieve(w.dense(), w.retrieve(hfneg.BM25())),
        Column,
        "'candidate_rows'",
        "remine=True",
    ),
    case(
        "mined rows mined again",
        lambda w: w.select().map(w.transform(), batched=True),
        Column,
        "'hard_negatives'",
        "remine=True",
    ),
    case(
        "another dataset than Anchors has read",
        lambda w: w.retrieve(w.dense(), w.pairs(query=["new", "newer", "newest"])),
        Column,
        "'new'",
        "the same dataset",
    ),
    case(
        "other positives than Anchors has read",
        lambda w: w.pairs(answer=["u", "v", "w"]).map(hfneg.Recipe(k=7).transform(w.anchors()), batched=True),
        Positive,
        "'u'",
        "the same dataset",
    ),
    case(
        "a dataset without the anchor's column",
        lambda w: w.retrieve(w.dense(), w.pairs().rename_column("query", "question")),
        Column,
        "'query'",
        "'question', 'answer'",
    ),
]

BEIR = [
    case(
        "broken JSON in the corpus",
        lambda w: w.mine_beir(corpus='{"_id": "d0", "title": "", "text": "a"}\n{"_id": "d1", "ti'),
        Input,
        "corpus.jsonl, line 2 is no JSON",
        "correct or remove",
    ),
    case("bytes that are no UTF-8", lambda w: w.mine_beir(corpus=b'{"_id": "d0", "text": "\xff"}\n'), Input, "line 1"),
    case(
        "a corpus of lists",
        lambda w: w.mine_beir(corpus="[1, 2]\n"),
        Input,
        "line 1 holds a list",
        "expected an object",
    ),
    case("a corpus without text", lambda w: w.mine_beir(corpus='{"_id": "d0", "title": "a"}\n'), Column, "'text'"),
    case(
        "a surrogate in the corpus",
        lambda w: w.mine_beir(corpus='{"_id": "d0", "title": "", "text": "\\ud800"}\n'),
        Document,
        "'d0'",
        "surrogate",
    ),
    case("broken JSON in the queries", lambda w: w.mine_beir(queries='{"_id"'), Input, "queries.jsonl, line 1"),
    case(
        "queries without ids",
        lambda w: w.mine_beir(queries='{"id": "q0", "text": "a"}\n'),
        Column,
        "'_id'",
        "queries.jsonl",
        "'id', 'text'",
    ),
    case(
        "qrels with two columns",
        lambda w: w.mine_beir(train="q0\td0\n"),
        Input,
        "train.tsv, line 1",
        "['q0', 'd0']",
        "query-id, corpus-id and score",
    ),
    case(
        "qrels with a score of text", lambda w: w.mine_beir(train="q0\td0\t1\nq1\td1\tyes\n"), Input, "line 2", "'yes'"
    ),
    case(
        "qrels with an unknown document", lambda w: w.mine_beir(train="q0\td99\t1\n"), Positive, "'d99'", "corpus.jsonl"
    ),
    case(
        "qrels with an unknown query", lambda w: w.mine_beir(train="q99\td0\t1\n"), Positive, "'q99'", "queries.jsonl"
    ),
    case("qrels with nothing relevant", lambda w: w.mine_beir(train="q0\td0\t0\n"), Empty, "no relevant document"),
    case(
        "an unknown split",
        lambda w: hfneg.load_beir(w.beir(dev="q0\td0\t1\n"), "tets"),
        Input,
        "'tets'",
        "dev, train",
    ),
    case("no folder", lambda w: hfneg.Corpus.from_beir(w.folder), Empty, "no corpus.jsonl"),
]


def occupied(world: World, *names: str) -> World:
    """`out` holds files of somebody else."""
    world.out.mkdir()
    for name in names:
        (world.out / name).write_text('{"a": 1}')
    return world


OUTPUT = [
    case(
        "resume and overwrite", lambda w: w.mine(resume=True, overwrite=True), Setting, "resume and overwrite", "one of"
    ),
    case("out a number", lambda w: w.mine(out=3), Setting, "out=3", "path of a folder"),
    case(
        "no out for a stream",
        lambda w: w.mine(stream({"query": "a", "answer": TEXTS[0]}), out=None),
        Setting,
        "pairs is a stream",
        "out='mined/'",
    ),
    case("out without a name", lambda w: w.mine(out=""), Setting, "out=''", "path of a folder"),
    case("out is a file", lambda w: w.mine(out=w.file("result")), Output, "result is a file", "must be a folder"),
    case(
        "out below a file",
        lambda w: w.mine(out=w.file("result") / "a" / "b"),
        Output,
        "cannot write",
        "result is a file",
        "give a path",
    ),
    case("out of too long a name", lambda w: w.mine(out=w.folder / ("x" * 300)), Output, "too long", "another folder"),
    *(
        case(f"out called {name}", lambda w, name=name: w.mine(out=w.folder / name / "x"), Output, "load_dataset", name)
        for name in ("run[1]", "a*b", "really?", "p::q")
    ),
    *(
        case(f"out {name} from here", lambda w, name=name: w.mine(out=name), Output, "before the colon", "give /")
        for name in ("run-10:30", "file:x/mined")
    ),
    *(
        case(f"out {name}", lambda w, name=name: w.mine(out=name), Output, "a home folder", "give /")
        for name in ("~/mined", "~nobody")
    ),
    *(
        case(
            f"a split called {name[:9]}",
            lambda w, name=name: w.mine(DatasetDict({name: w.pairs()})),
            Input,
            "a split is called",
            "rename it",
        )
        for name in ("train-2", "a b", "c*", "../up", "..", "", "all", "/tmp/x", "x" * 200)
    ),
    case(
        "splits that differ in case",
        lambda w: w.mine(DatasetDict({"Train": w.pairs(), "train": w.pairs()})),
        Input,
        "'Train' and 'train' differ in case",
    ),
    *(
        case(
            f"the device {name}", lambda w, name=name: w.mine(devices=name), Setting, f"'{name}' cannot be used", "cpu"
        )
        for name in ("cuda:99", "gpu0", "cpu:7", "meta")
    ),
    case("a device among others", lambda w: w.mine(devices=["cpu", "all"]), Setting, "'all' stands alone"),
    case(
        "out where nothing can be made",
        lambda w: w.mine(out="/proc/hfneg"),
        Output,
        "cannot make the folder /proc/hfneg",
    ),
]


@pytest.mark.parametrize(
    "wrong",
    [*PAIRS, *CORPUS, *SETTINGS, *RECIPE, *RETRIEVERS, *STAGES, *BEIR, *OUTPUT],
    ids=lambda wrong: wrong.id.replace(" ", "_"),
)
def test_is_refused_before_work_and_leaves_nothing(world: World, wrong: Case) -> None:
    """The error's type and words; no model asked; output folder and scratch as before."""
    refused(world, wrong.act, wrong.error, wrong.says)


def test_the_table_is_large_and_its_names_are_unique() -> None:
    """Every case has its own name, and says at least one thing about its message."""
    cases = [*PAIRS, *CORPUS, *SETTINGS, *RECIPE, *RETRIEVERS, *STAGES, *BEIR, *OUTPUT]
    assert len({wrong.id for wrong in cases}) == len(cases) >= 150
    assert all(wrong.says for wrong in cases)


# Folders that are there already.


@pytest.mark.parametrize("how", [{}, {"resume": True}, {"overwrite": True}], ids=str)
@pytest.mark.parametrize("names", [("notes.txt",), ("summary.json", "README.md")], ids=str)
def test_somebody_elses_folder_is_never_touched(world: World, names: tuple[str, ...], how: dict[str, bool]) -> None:
    """A folder that hfneg did not write is refused whatever is said, also where a file bears the name of ours."""
    occupied(world, *names)
    refused(world, lambda w: w.mine(**how), Exists, ("files that hfneg did not write", "new or empty folder"))


def test_a_folder_without_permission_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system says about permission is said before work (root may write anywhere, so it is asked here)."""
    monkeypatch.setattr("os.access", lambda *_: False)
    refused(world, World.mine, Output, ("cannot write", "no permission", "another folder"))


def test_a_store_that_cannot_be_written_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unwritable store is a StoreError that says which variable to set."""
    monkeypatch.setenv("HFNEG_STORE", str(world.file("a_file") / "store"))
    with pytest.raises(Store, match=r"a_file/store.*set HFNEG_STORE"):
        world.mine()
    assert not world.out.exists()


class Stops:
    """An executor that is cut off at its n-th stage."""

    workers = 1

    def __init__(self, stage: int) -> None:
        self.left = stage

    def run(self, work: Callable[[Any], None], units: Sequence[Any], done: Callable[[Any], None]) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt
        for unit in units:
            work(unit)
            done(unit)


@pytest.fixture
def cut_off(world: World) -> World:
    """A run that has searched and was cut off when it was about to choose."""
    with pytest.raises(KeyboardInterrupt):
        world.mine(executor=Stops(4))
    assert (world.out / ".hfneg" / "run.json").is_file()
    return world


@pytest.fixture
def finished(world: World) -> World:
    """A run that is done."""
    world.mine()
    return world


CHANGES = [
    case("the recipe", lambda w: w.mine(recipe=w.recipe(k=4), resume=True), Resume, "recipe", "k: 5", "k: 4"),
    case(
        "the checkpoint",
        lambda w: w.mine(recipe=w.recipe(retrievers=hfneg.Dense(Stub("b"))), resume=True),
        Resume,
        "b@",
    ),
    case("a column", lambda w: w.mine(w.pairs(more=[1, 2, 3]), resume=True), Resume, "rows changed"),
    case("an anchor", lambda w: w.mine(w.pairs(query=["a", "b", "c"]), resume=True), Resume, "anchors", "rows"),
    case("a positive", lambda w: w.mine(w.pairs(answer=TEXTS[1:4]), resume=True), Resume, "anchors", "rows"),
    case("the corpus", lambda w: w.mine(corpus=w.docs(text=[*TEXTS[:11], "new"]), resume=True), Resume, "anchors"),
    case("the hidden column", lambda w: w.mine(hidden="answer", resume=True), Resume, "hidden", "None before"),
    case("the split's name", lambda w: w.mine(DatasetDict(dev=w.pairs()), resume=True), Resume, "rows"),
]


@pytest.mark.parametrize("state", ["cut_off", "finished"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.id.replace(" ", "_"))
def test_a_run_with_other_inputs_is_not_resumed(request: pytest.FixtureRequest, change: Case, state: str) -> None:
    """A changed input is named, and neither a cut-off nor a finished run is touched."""
    world: World = request.getfixturevalue(state)
    refused(world, change.act, change.error, (*change.says, "with other inputs", "overwrite, or another output folder"))


@pytest.mark.parametrize("state", ["cut_off", "finished"])
def test_an_existing_run_needs_a_word(request: pytest.FixtureRequest, state: str) -> None:
    """Without resume or overwrite an existing run is refused; the message offers both."""
    world: World = request.getfixturevalue(state)
    refused(world, World.mine, Exists, ("resume=True goes on", "overwrite=True starts anew"))


def test_a_wrong_call_does_not_overwrite(finished: World) -> None:
    """Overwriting begins only after everything was found to be in order."""
    wrong: list[tuple[Callable[[World], Any], type[Exception]]] = [
        (lambda w: w.mine(anchor="qurey", overwrite=True), Column),
        (lambda w: w.mine(devices=3, overwrite=True), Setting),
        (lambda w: w.mine(recipe=w.recipe(k=5, deeper=5), overwrite=True), RecipeWrong),
        (lambda w: w.mine(recipe=w.recipe(retrievers=Unpicklable()), overwrite=True), Setting),
    ]
    for act, error in wrong:
        refused(finished, act, error, ())


def test_overwrite_leaves_other_files_alone(finished: World) -> None:
    """Only what hfneg wrote is replaced."""
    (finished.out / "notes.txt").write_text("mine")
    finished.mine(recipe=finished.recipe(k=4), overwrite=True)
    assert (finished.out / "notes.txt").read_text() == "mine"
    assert hfneg.open_summary(finished.out)["recipe"].count("k: 4") == 1


def test_a_cut_off_run_goes_on(cut_off: World) -> None:
    """The way out that the message offers works: no text is encoded again, and the rows are those of a whole run."""
    calls = cut_off.model.calls
    resumed = cut_off.mine(resume=True)
    assert cut_off.model.calls == calls
    assert resumed.to_dict() == cut_off.mine(out=cut_off.folder / "whole").to_dict()


def test_a_finished_folder_that_lost_its_rows_says_so(finished: World) -> None:
    """A summary without rows is an OutputError, not another library's; also in a folder without checksums."""
    shutil.rmtree(finished.out / "data")
    refused(finished, lambda w: w.mine(resume=True), Output, ("parquet is damaged (it is missing)", "overwrite"))
    (finished.out / "checksums.json").unlink()
    refused(finished, lambda w: w.mine(resume=True), Output, ("lost its rows", "overwrite"))


def test_remine_replaces_our_columns(world: World) -> None:
    """The way out of "the dataset already has" works, in mine and in map."""
    stale = world.pairs(hard_negatives=[["stale"]] * 3, candidate_rows=[[1]] * 3)
    mined = world.mine(stale, remine=True)
    mapped = stale.map(world.recipe().transform(world.anchors(), remine=True), batched=True)
    assert mined["hard_negatives"][:] == mapped["hard_negatives"][:]
    assert ["stale"] not in mined["hard_negatives"][:]
    assert "candidate_rows" not in mined.column_names


# NaN from a model: the one thing that cannot be known before it is asked.


@pytest.mark.parametrize("way", ["mine", "map"])
@pytest.mark.parametrize(
    ("text", "name"), [(TEXTS[7], "document 'd7'"), (QUERIES[2], "query 2")], ids=["document", "anchor"]
)
def test_nan_from_a_model_names_the_text(world: World, text: str, name: str, way: str) -> None:
    """NaN is a NonFiniteError that names document or anchor; no folder is left, and no vector is stored."""
    world.model.nan_for = text
    with pytest.raises(NonFinite) as caught:
        world.mine() if way == "mine" else world.retrieve(world.dense())
    for words in (name, "NaN", text, "float32"):
        assert words in str(caught.value)
    assert not world.out.exists()
    world.model.nan_for = None
    assert len(world.mine()) == 3


class Says(Stub):
    """A model that answers whatever it was given, in the place of vectors."""

    def __init__(self, answer: Any) -> None:
        super().__init__(f"says-{uuid.uuid4().hex}")
        self.answer = answer

    def encode(self, texts: Sequence[str]) -> Any:
        return self.answer


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (np.ones(12), "shape (12,) for 12 texts"),
        (np.ones((5, 3)), "shape (5, 3) for 12 texts"),
        (None, "[n, d]"),
        ([["x"]] * 12, "no array of numbers"),
        ([[1.0], [1.0, 2.0]], "no array of numbers"),
    ],
    ids=["flat", "short", "None", "texts", "ragged"],
)
def test_a_model_that_gives_no_vectors_is_refused(world: World, answer: Any, says: str) -> None:
    """What comes from `encode` is checked; the message says which shape it must have."""
    with pytest.raises(Setting) as caught:
        world.mine(recipe=world.recipe(retrievers=hfneg.Dense(Says(answer))))
    assert says in str(caught.value)
    assert "[n, d]" in str(caught.value)
    assert not world.out.exists()


def test_a_repeated_row_counts_once() -> None:
    """A retriever over a corpus with repeated texts may name a row twice: no error, its best place counts."""
    corpus = hfneg.Corpus.from_texts(["p", "a", "b", "c"])
    anchors = hfneg.Anchors([{"query": "q", "answer": "p"}], corpus, anchor="query", positive="answer")
    twice = Own(lambda n, k: (falling(n, k), np.array([[1, 2, 1, 3][:k]] * n)))
    found = Dataset.from_dict({"query": ["q"], "answer": ["p"]}).map(hfneg.Retrieve(anchors, twice, k=3), batched=True)
    assert found["candidate_rows"][0] == [1, 2, 3]


def test_the_device_of_the_environment_is_checked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """HFNEG_DEVICE names one that is not there: refused before work by `mine`, and where a model is loaded."""
    monkeypatch.setenv("HFNEG_DEVICE", "cuda:99")
    refused(world, lambda w: w.mine(), Setting, ("HFNEG_DEVICE", "'cuda:99' cannot be used"))
    with pytest.raises(Setting, match="HFNEG_DEVICE: 'cuda:99'"):
        devices.chosen()
    with pytest.raises(Setting, match="device: 'cuda:98'"):
        devices.chosen("cuda:98")
    monkeypatch.setenv("HFNEG_DEVICE", "cpu")
    assert devices.chosen() == "cpu"
    world.mine()


def test_devices_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """With two CUDA devices a third is refused, and what there is is said; the two can be named, and are "all"."""
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(Setting, match=r"'cuda:2' .*finds 2 CUDA devices; this machine has cuda:0, cuda:1, cpu"):
        hfneg.LocalExecutor(["cuda:0", "cuda:2"])
    assert hfneg.LocalExecutor(["cuda:0", "cuda:1"]).devices == hfneg.LocalExecutor("all").devices
    assert hfneg.LocalExecutor("cuda").devices == ["cuda"]


def test_no_device_named_no_torch(world: World) -> None:
    """Nor where it is the cpu: torch takes seconds to load, and BM25 does without."""
    script = (
        "import sys, hfneg; hfneg.LocalExecutor(); hfneg.LocalExecutor(['cpu', 'cpu']); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "False"


def test_no_library_of_models_is_loaded_for_bad_input(world: World) -> None:
    """A wrong column with a real Dense(folder) is refused without torch or sentence_transformers being imported."""
    model = world.file("model/model.safetensors", "no weights").parent
    script = f"""
        import sys
        from datasets import Dataset
        import hfneg
        pairs = Dataset.from_dict({{"query": ["q"], "answer": ["a"]}})
        recipe = hfneg.Recipe(retrievers=hfneg.Dense({str(model)!r}), k=1, sampler=hfneg.TakeTop(1))
        try:
            hfneg.mine(pairs, ["a", "b"], recipe, anchor="qurey", positive="answer", out={str(world.out)!r})
        except hfneg.ColumnError as error:
            print(error, sorted({{"torch", "sentence_transformers", "faiss"}} & set(sys.modules)))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True, timeout=120
    )
    assert "Did you mean 'query'? []" in done.stdout
    assert not world.out.exists()


# The command line.


@dataclass(frozen=True)
class Typed:
    """What is typed behind ``hfneg mine``; {world} stands for the folder of the test."""

    id: str
    words: str
    code: int
    says: tuple[str, ...]


SOUND = "{world}/pairs.parquet --corpus {world}/docs.jsonl --anchor query --positive answer --out {world}/out"
TYPED = [
    Typed("no pairs", "{world}/nope.parquet --out {world}/out", 2, ("nope.parquet",)),
    Typed("no such split", SOUND + " --split tets", 2, ("'tets'", "pairs.parquet")),
    Typed("wrong column", SOUND + " --anchor qurey", 2, ("ColumnError", "'qurey'", "Did you mean 'query'?")),
    Typed("no corpus", SOUND + " --corpus {world}/nope.jsonl", 2, ("nope.jsonl",)),
    Typed("deeper than k only", SOUND + " --set k=5 --set deeper=5", 2, ("RecipeError", "'deeper'", "k=5")),
    Typed("unknown slot", SOUND + " --set kk=5", 2, ("RecipeError", "'kk=5'", "Did you mean 'k'?")),
    Typed("no recipe", SOUND + " --recipe {world}/nope.yaml", 2, ("RecipeError", "nope.yaml")),
    Typed("import path", SOUND + " --recipe {world}/own.yaml", 2, ("my.Sampler", "--trust")),
    Typed("both words", SOUND + " --resume --overwrite", 2, ("resume and overwrite",)),
    Typed("unknown option", SOUND + " --sett k=5", 2, ("--sett",)),
    Typed("no qrels of this name", "{world}/beir --split dev --out {world}/out", 2, ("'dev'", "train")),
    Typed("positives hidden of no BEIR folder", SOUND + " --show-positives 1", 2, ("BEIR",)),
    Typed("an empty file", "{world}/empty.jsonl --out {world}/out", 2, ("empty.jsonl", "at least one row")),
    Typed(
        "out is a file",
        SOUND + " --set k=5 --set sampler.n=2 --out {world}/docs.jsonl",
        3,
        ("OutputError", "is a file", "--out"),
    ),
    Typed("no such device", SOUND + " --device cuda:99", 2, ("SettingError", "'cuda:99' cannot be used", "has cpu")),
    Typed("no device", "{world}/nope.parquet --device gpu0", 2, ("'gpu0' cannot be used", "no name of a device")),
    Typed("all and more devices", SOUND + " --device all --device cpu", 2, ("'all' stands alone",)),
    Typed("out is a pattern", SOUND + " --out {world}/run[1]", 3, ("load_dataset", "run[1]", "--out")),
    Typed("out below a file", SOUND + " --out {world}/docs.jsonl/a", 3, ("docs.jsonl is a file",)),
]


def typed(world: World, words: str) -> Any:
    world.pairs().to_parquet(world.folder / "pairs.parquet")
    world.docs().to_json(world.folder / "docs.jsonl")
    world.file("own.yaml", "sampler: my.Sampler(3)\n")
    world.file("empty.jsonl")
    world.beir()
    return CliRunner().invoke(app, ["mine", *words.format(world=world.folder).split()])


def read(result: Any) -> str:
    """What a person sees, with the lines of a terminal made one."""
    return " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize("case", TYPED, ids=lambda case: case.id.replace(" ", "_"))
def test_the_command_line_says_what_is_wrong(world: World, case: Typed) -> None:
    """An exit code and one paragraph, no traceback; nothing is written."""
    result = typed(world, case.words)
    assert result.exit_code == case.code, result.output
    assert isinstance(result.exception, SystemExit)
    for words in case.says:
        assert words in read(result)
    assert "Traceback" not in result.output
    assert not world.out.exists()


def test_the_command_line_ends_with_0_3_and_4(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """0: done; 3: there is a run already, or one with another recipe; 4: the work itself failed."""
    sound = SOUND + " --set k=5 --set sampler.n=2"
    assert typed(world, sound).exit_code == 0
    before = snapshot(world.out)
    again, other = typed(world, sound), typed(world, sound + " --set k=4 --resume")
    assert (again.exit_code, other.exit_code) == (3, 3)
    assert "--resume goes on with it, --overwrite starts anew, --out gives another" in read(again)
    assert "ResumeError" in read(other)
    assert snapshot(world.out) == before
    assert typed(world, sound + " --resume").exit_code == 0

    def broken(*_: Any) -> Any:
        raise NonFinite("the model's vector of document 'd1' holds NaN")

    monkeypatch.setattr("hfneg.pipeline.retrieve.Retrieve.search", broken)
    failed = typed(world, sound + " --overwrite")
    assert failed.exit_code == 4
    assert "document 'd1' holds NaN" in read(failed)
    assert "Traceback" not in failed.output
    assert not list(world.out.iterdir())


def test_features_that_no_split_shares_are_told_apart_from_order(world: World) -> None:
    """Other order of the same columns is no fault: the splits become one dataset all the same."""
    turned = world.pairs().select_columns(["answer", "query"])
    assert turned.features == Features({"answer": Value("string"), "query": Value("string")})
    mined = world.mine(DatasetDict(train=world.pairs(), dev=turned))
    assert {name: len(split) for name, split in mined.items()} == {"train": 3, "dev": 3}
