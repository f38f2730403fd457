"""`preview`: how what a user brings would be read, and what would be searched; it leaves nothing behind."""

from __future__ import annotations

import os
import tempfile
import time
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hfneg.base import store
from hfneg.data import corpora, files
from hfneg.data.anchors import Anchors
from hfneg.data.corpus import Corpus
from hfneg.data.files import beir
from hfneg.data.loading import Pairs, load_pairs
from hfneg.data.splits import anchors_of, prepared
from hfneg.pipeline.recipe import Recipe
from hfneg.pipeline.retrieve import Retrieve
from hfneg.pipeline.shortcuts import recipe_of

SHOWN = 3
SAMPLED = 500
"""Texts of either side whose scripts are looked at."""
REHEARSED = (40, 400)
"""Anchors and documents of the rehearsal that the time is reckoned from."""
LOOKED_AT = 4e-10
"""Seconds that an index takes to look at one document for one anchor (BM25 on one core: 57 us for 168,556)."""


@dataclass(frozen=True)
class PreviewRow:
    """An anchor with its positives and given negatives, as texts of the corpus."""

    anchor: str
    positives: tuple[str, ...]
    negatives: tuple[str, ...]


@dataclass(frozen=True)
class Preview:
    """What would be mined, from what, and how it was read.

    Attributes:
        pairs, corpus: role -> column, or what stands for it; "layout", "read from", "not read" among the roles.
        rows, anchors, documents: how many; `added` positives among the documents, `left_out` rows not among the rows.
        matched: way -> how many positives were found so: "id", "text", "without title", "normal form", "added", ...
        given: how many given negatives.
        examples: the first anchors.
        scripts: writing system -> share of the letters in a sample of the texts, the most frequent first.
        search: what would be done, step by step.
        seconds: about how long the search takes, from a rehearsal with a few anchors and documents; a teacher, which is
            not asked here, comes on top.
    """

    pairs: dict[str, str]
    corpus: dict[str, str]
    rows: int
    anchors: int
    documents: int
    added: int
    left_out: int
    given: int
    matched: dict[str, int]
    examples: tuple[PreviewRow, ...]
    scripts: dict[str, float]
    search: tuple[str, ...]
    seconds: float


def preview(
    pairs: Any,
    corpus: Any = None,
    recipe: Recipe | str | Path | None = None,
    *,
    model: Any = None,
    teacher: Any = None,
    n: int | None = None,
    k: int | None = None,
    split: str | None = None,
    corpus_split: str | None = None,
    corpus_text: str | None = None,
    corpus_id: str | None = None,
    corpus_columns: Sequence[str] | None = None,
    positives_are: Any = "auto",
    missing: Any = None,
    given: Any = "first",
    symmetric: bool = False,
    **reading: Any,
) -> Preview:
    """How `hfneg.mine` would read what it is given, with examples, and about how long it would take.

    ::

        print(hfneg.preview("pairs.csv", "docs.tsv").matched)

    Args:
        pairs, corpus, recipe, model, teacher, n, k: as for `mine`.
        split, reading: as for `load_pairs`: anchor, positive, label, classes, ...
        corpus_split, corpus_text, corpus_id, corpus_columns: of a corpus that is a path or a Hub id.
        positives_are, missing, given, symmetric: as for `Anchors`.

    What `mine` refuses, this refuses. Nothing is written: what has to be built lies in a temporary folder.
    """
    recipe = recipe_of(recipe, model=model, teacher=teacher, n=n, k=k)
    with _leaving_nothing(pairs, corpus):
        found = _pairs(pairs, split, missing, reading)
        documents, of_corpus = _corpus(corpus, (corpus_split, corpus_text, corpus_id, corpus_columns), found)
        anchors = anchors_of(found, documents, positives_are, missing, given, symmetric)
        numbers = np.arange(min(SHOWN, len(anchors)))
        own, against = anchors.positives(numbers), anchors.negatives(numbers)
        texts = anchors.texts(numbers).to_pylist()
        return Preview(
            pairs=_read_from(pairs) | _roles(found, anchors),
            corpus=of_corpus,
            rows=anchors.rows,
            anchors=len(anchors),
            documents=len(anchors.corpus),
            added=anchors.added,
            left_out=anchors.left_out,
            given=anchors.given,
            matched=dict(anchors.matched),
            examples=tuple(
                PreviewRow(text, _texts(anchors.corpus, own[i]), _texts(anchors.corpus, against[i]))
                for i, text in enumerate(texts)
            ),
            scripts=_scripts(anchors),
            search=_search(recipe, anchors),
            seconds=_seconds(recipe, anchors),
        )


@contextmanager
def _leaving_nothing(*given: Any) -> Iterator[None]:
    """Store and cache of `datasets` in a folder that is gone afterwards; a stored corpus is reached through a link."""
    import datasets

    before, cache = store.root(), datasets.config.HF_DATASETS_CACHE
    with tempfile.TemporaryDirectory(prefix="hfneg-preview-") as folder:
        os.environ[store.ENVIRONMENT_VARIABLE] = str(Path(folder) / "store")
        if all(
            Path(str(one)).exists() for one in given if isinstance(one, str | Path)
        ):  # of the Hub it is worth keeping
            datasets.config.HF_DATASETS_CACHE = Path(folder) / "datasets"
        try:
            stored = [one.corpus if isinstance(one, Pairs) else one for one in given]
            reached = [before / "corpus" / one.digest for one in stored if isinstance(one, Corpus)]
            store.made_root()
            for artefact in (*reached, *(before / "candidates").glob("*")):
                link = store.artefact(artefact.parent.name, artefact.name)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(artefact, target_is_directory=True)
            yield
        finally:
            os.environ[store.ENVIRONMENT_VARIABLE] = str(before)
            datasets.config.HF_DATASETS_CACHE = cache


def _pairs(pairs: Any, split: str | None, missing: Any, reading: dict[str, Any]) -> Pairs:
    if isinstance(pairs, Pairs):
        return prepared(pairs, reading.get("anchor"), reading.get("positive"), None, True, missing)
    return load_pairs(pairs, split, missing=missing, **reading)


def _corpus(given: Any, how: tuple[Any, ...], found: Pairs) -> tuple[Corpus | None, dict[str, str]]:
    """(the corpus, how it was read)."""
    if given is None:
        what = "what comes with the pairs" if found.corpus is not None else "none: the positives and given negatives"
        return found.corpus, {"read from": what}
    if not isinstance(given, str | Path):
        return corpora.as_corpus(given), _read_from(given)
    split, text, id, columns = how
    if (Path(given) / "corpus.jsonl").is_file():
        return corpora.as_corpus(given), {**_read_from(given), "text": "text", "id": "_id", "title": "title"}
    rows = files.load_any(str(given), split, columns)
    first = next(iter(rows.values())) if isinstance(rows, dict) else rows
    read = corpora.columns_of(first, text, id)
    roles = dict(zip(("text", "id", "title"), (name or "" for name in read), strict=True))
    unread = [name for name in first.column_names if name not in read]
    return corpora.as_corpus(rows, text=text, id=id), {
        **_read_from(given),
        **{role: name for role, name in roles.items() if name},
        **({} if read[1] else {"id": "none: documents are numbered from 0"}),
        **({"not read": ", ".join(unread)} if unread else {}),
    }


def _read_from(given: Any) -> dict[str, str]:
    if not isinstance(given, str | Path):
        return {"read from": f"a {type(given).__name__}"}
    path = Path(given)
    kind = (
        "a BEIR folder" if beir.is_beir(path) else "a folder" if path.is_dir() else "a file" if path.is_file() else ""
    )
    return {"read from": f"{given} ({kind or 'a dataset of the Hub'})"}


def _roles(found: Pairs, anchors: Anchors) -> dict[str, str]:
    first = next(iter(found.rows.values())) if isinstance(found.rows, dict) else found.rows
    there = list(first.column_names or ())
    read = (found.anchor, found.positive, *found.negatives)
    kind = f"{anchors.positives_are}s of documents"
    roles = {"layout": found.layout, "anchor": found.anchor, "positive": f"{found.positive} ({kind})", **found.made_of}
    if found.negatives:
        roles["given negatives"] = ", ".join(found.negatives)
    if found.symmetric or anchors.said.get("symmetric"):
        roles["pairs"] = "hold both ways"
    unread = [name for name in there if name not in read]
    return roles | ({"not read": ", ".join(unread)} if unread else {})


def _texts(corpus: Corpus, rows: Any) -> tuple[str, ...]:
    return tuple(corpus.texts(rows).to_pylist())


def _scripts(anchors: Anchors) -> dict[str, float]:
    """Share of the letters in each writing system, over the first texts of both sides."""
    texts = anchors.text_slice(0, min(SAMPLED, len(anchors))).to_pylist()
    texts += anchors.corpus.text_slice(0, min(SAMPLED, len(anchors.corpus))).to_pylist()
    counts = Counter(letter for text in texts for letter in text[:SAMPLED] if letter.isalpha())
    scripts: Counter[str] = Counter()
    for letter, times in counts.items():
        scripts[unicodedata.name(letter, "unknown").split()[0].split("-")[0].capitalize()] += times
    total = max(sum(scripts.values()), 1)
    return {name: round(times / total, 4) for name, times in scripts.most_common() if times / total >= 0.001}


def _search(recipe: Recipe, anchors: Anchors) -> tuple[str, ...]:
    k = min(recipe.k, len(anchors.corpus))
    steps = [f"{retriever!r}: {k:,} of {len(anchors.corpus):,} documents" for retriever in recipe.retrievers]
    steps += [f"teacher {recipe.teacher!r}"] if recipe.teacher is not None else []
    steps += [f"filter {step!r}" for step in recipe.filters]
    return (*steps, f"{recipe.sampler!r}, for each of {len(anchors):,} anchors")


def _seconds(recipe: Recipe, anchors: Anchors) -> float:
    """Of the search alone, from a few anchors and documents: each part in proportion to what it grows with."""
    small = _part(anchors, *REHEARSED)
    _run(recipe, _part(anchors, 2, 8))  # compiles, and loads models
    began = time.perf_counter()
    retrieve = _run(recipe, small)
    built = time.perf_counter()
    retrieve.run(np.arange(len(small)))
    searched = time.perf_counter()
    documents, asked = len(anchors.corpus) / len(small.corpus), len(anchors) / len(small)
    each, building = searched - built, max(built - began - (searched - built), 0.0)
    seen = len(anchors) * len(anchors.corpus) * len(recipe.retrievers)
    return building * max(documents, 1.0) + each * max(asked, 1.0) + seen * LOOKED_AT


def _run(recipe: Recipe, anchors: Anchors) -> Retrieve:
    k = min(recipe.k, len(anchors.corpus))
    retrieve = Retrieve(anchors, list(recipe.retrievers), k=k, fusion=recipe.fusion)
    retrieve.run(np.arange(len(anchors)))
    return retrieve


def _part(anchors: Anchors, n: int, m: int) -> Anchors:
    """The first anchors over their positives and the first documents."""
    numbers = np.arange(min(n, len(anchors)))
    own = anchors.positives(numbers)
    rows = np.union1d(own.flat, np.arange(min(m, len(anchors.corpus))))
    pairs = [
        {"anchor": text, "positive": anchors.corpus.texts(own[i]).to_pylist()}
        for i, text in enumerate(anchors.texts(numbers).to_pylist())
    ]
    few = Corpus.from_texts(anchors.corpus.texts(rows).to_pylist())
    return Anchors(pairs, few, anchor="anchor", positive="positive", missing="add", label=False)
