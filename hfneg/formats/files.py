"""Training files of other tools: FlagEmbedding and Tevatron, JSON lines, one line per mined row.

The layouts were read from the tools' own loaders (FlagEmbedding ``abc/finetune/*/AbsDataset.py``, Tevatron
``retriever/dataset.py`` and ``reranker/dataset.py``). Both fail on a row without negatives, so such rows
are dropped, and a warning says how many. Files are streamed into a temporary name and then renamed.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from datasets import Dataset, IterableDataset

from hfneg.base import store
from hfneg.base.arrays import Floats
from hfneg.base.columns import NEGATIVES
from hfneg.base.files import temporary
from hfneg.errors import InputError, OutputExistsError, SettingError
from hfneg.formats.converting import Counts, Mined, open_mined, tables
from hfneg.formats.identifying import identified_layout, with_ids
from hfneg.formats.layout import (
    Kind,
    Scores,
    TrainerLayout,
    available_scores,
    require_mined,
    score_columns,
    text_columns,
)
from hfneg.formats.rows import Ragged, Rows, read_rows
from hfneg.formats.shapes import ListShape

Source: TypeAlias = Dataset | IterableDataset
FileScores = Scores | Literal["none"]


def write_flagembedding(
    ds: Source,
    path: str | os.PathLike[str],
    *,
    scores: FileScores | None = None,
    anchor: str | None = None,
    positive: str | None = None,
    overwrite: bool = False,
) -> int:
    """Write query, pos, neg and, where there are scores, pos_scores and neg_scores; returns how many lines.

    For FlagEmbedding's embedders and rerankers (``--train_data FILE``); with ``--knowledge_distillation
    True`` they read the scores. `scores` is "teacher", "retriever" or "none"; by default the teacher's,
    else the retriever's, else none. Negatives without a finite score are left out where scores are written.
    The name must end in .jsonl or .json: FlagEmbedding passes over other files without a word.

    Example::

        hfneg.formats.write_flagembedding(mined, "train.jsonl")
    """
    check_lines(path, "FlagEmbedding")
    mined = open_one(ds, _optionally_scored(anchor, positive, scores))
    return _write_lines(mined, path, "flagembedding", _flagembedding_lines, overwrite)


def _flagembedding_lines(rows: Rows) -> Iterator[dict[str, Any]]:
    positives, negatives = _texts(rows.positives), _texts(rows.negatives)
    positive_scores, negative_scores = _score_lists(rows.positives), _score_lists(rows.negatives)
    for i, query in enumerate(rows.anchors.to_pylist()):
        line = {"query": query, "pos": positives[i], "neg": negatives[i]}
        if positive_scores is not None and negative_scores is not None:
            line |= {"pos_scores": positive_scores[i], "neg_scores": negative_scores[i]}
        yield line


def write_tevatron(
    ds: Source,
    path: str | os.PathLike[str],
    *,
    anchor: str | None = None,
    positive: str | None = None,
    anchor_id: str | None = None,
    positive_id: str | None = None,
    overwrite: bool = False,
) -> int:
    """Write query_id, query, positive_passages and negative_passages; returns the lines written.

    A passage is docid, title and text; the title is empty, because hfneg's documents carry theirs in the
    text (Tevatron's reranker fails where there is no title at all). `anchor_id` and `positive_id` name
    columns of ids; where there are none, ids are made from the texts, the same for equal texts. The name must end in
    .jsonl or .json.

    Example::

        hfneg.formats.write_tevatron(mined, "train.jsonl")
    """
    check_lines(path, "Tevatron")
    mined = open_one(ds, identified_layout(anchor, positive, anchor_id, positive_id, derive=True))
    return _write_lines(mined, path, "tevatron", _tevatron_lines, overwrite)


def _tevatron_lines(rows: Rows) -> Iterator[dict[str, Any]]:
    rows = with_ids(rows)
    positives, negatives = _passages(rows.positives), _passages(rows.negatives)
    keys = [] if rows.anchor_ids is None else rows.anchor_ids.to_pylist()
    for i, (key, query) in enumerate(zip(keys, rows.anchors.to_pylist(), strict=True)):
        yield {
            "query_id": key,
            "query": query,
            "positive_passages": positives[i],
            "negative_passages": negatives[i],
        }


def _passages(ragged: Ragged) -> list[list[dict[str, str]]]:
    pairs = zip([] if ragged.ids is None else ragged.ids.to_pylist(), ragged.values.to_pylist(), strict=True)
    return _split([{"docid": key, "title": "", "text": text} for key, text in pairs], ragged)


def check_lines(path: str | os.PathLike[str], tool: str) -> None:
    """Raise SettingError where the name of a file of JSON lines says something else."""
    if Path(path).suffix.lower() not in (".jsonl", ".json"):
        raise SettingError(f"{tool} reads only .jsonl and .json files, not {os.fspath(path)!r}")


def open_one(ds: Source, layout_of: Callable[[Mapping[str, Kind]], TrainerLayout]) -> Mined:
    """A mined dataset without splits, which is what goes into one file."""
    if isinstance(ds, dict):
        raise InputError(f"a file holds one split: pass one of {', '.join(f'ds[{name!r}]' for name in ds)}")
    return open_mined(ds, layout_of)


def _optionally_scored(
    anchor: str | None, positive: str | None, scores: FileScores | None
) -> Callable[[Mapping[str, Kind]], TrainerLayout]:
    def layout_of(kinds: Mapping[str, Kind]) -> TrainerLayout:
        require_mined(kinds, NEGATIVES)
        layout = TrainerLayout(*text_columns(kinds, anchor, positive))
        if scores == "none" or (scores is None and not available_scores(kinds)):
            return layout
        ours, theirs = score_columns(kinds, scores)
        return replace(layout, positive_scores=ours, negative_scores=theirs)

    return layout_of


def _write_lines(
    mined: Mined,
    path: str | os.PathLike[str],
    name: str,
    lines: Callable[[Rows], Iterator[dict[str, Any]]],
    overwrite: bool,
) -> int:
    shape = ListShape(name, mined.layout.anchor)  # what both tools need of a row: a positive and a negative
    counts = Counts()
    with replacing(path, overwrite) as part, part.open("w", encoding="utf-8") as file:
        for table in tables(mined.splits[None], mined.layout):
            rows = read_rows(table, mined.layout)
            counts.add(shape, rows.positives.lengths, rows.negatives.lengths, rows.unscored)
            kept = shape.written(rows.positives.lengths, rows.negatives.lengths)
            for line, wanted in zip(lines(rows), kept, strict=True):
                if wanted:
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
    counts.report(shape)
    return counts.written


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], overwrite: bool, files: Collection[str] = ()) -> Iterator[Path]:
    """A temporary path beside `path` that takes its name when all went well.

    With `files` it is to become a folder of these; a folder that holds anything else is never replaced.
    """
    final = Path(path)
    _check_free(final, overwrite, files)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary.sweep(final.parent)
    part = temporary.beside(final)
    try:
        with store.disk_full_is_said():
            yield part
            _check_free(final, overwrite, files)  # once more: writing may have taken hours
            if final.is_dir():
                temporary.replace_folder(part, final)
            else:
                os.replace(part, final)
    finally:
        with contextlib.suppress(OSError):
            temporary.remove(part)


def _check_free(final: Path, overwrite: bool, files: Collection[str]) -> None:
    if not final.exists():
        return
    if not overwrite:
        raise OutputExistsError(f"{final} is there already; pass overwrite=True to replace it, or another path")
    others = sorted(entry.name for entry in final.iterdir() if not _is_one_of(entry, files)) if final.is_dir() else []
    if others or final.is_dir() != bool(files):
        held = f" that holds {', '.join(others[:3])}" if others else ""
        kind = f"a folder{held}" if final.is_dir() else "a file, and a folder is to be written"
        raise OutputExistsError(f"{final} is {kind}, which overwrite=True does not replace; choose another path")


def _is_one_of(entry: Path, files: Collection[str]) -> bool:
    return entry.name in files and entry.is_file() and not entry.is_symlink()


def _texts(ragged: Ragged) -> list[list[str]]:
    return _split(ragged.values.to_pylist(), ragged)


def _score_lists(ragged: Ragged) -> list[list[float]] | None:
    return None if ragged.scores is None else _split(_shortest(ragged.scores), ragged)


def _shortest(scores: Floats) -> list[float]:
    """Each as the shortest number that reads back as the same float32 (0.9, not 0.8999999762)."""
    return [float(str(score)) for score in scores]


def _split(flat: list[Any], ragged: Ragged) -> list[list[Any]]:
    starts, lengths = ragged.starts.tolist(), ragged.lengths.tolist()
    return [flat[start : start + length] for start, length in zip(starts, lengths, strict=True)]
