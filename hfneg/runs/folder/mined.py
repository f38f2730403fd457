"""What a mined folder holds besides its rows: summary, recipe, and a card that makes it loadable."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow.parquet as pq
import xxhash
import yaml

from hfneg.base import columns, store
from hfneg.base.files import checksums, holding, json_lines, part_files, temporary
from hfneg.base.files.checksums import Fault
from hfneg.data.files.readable import check_name
from hfneg.errors import InputError, OutputError, near_miss
from hfneg.runs.folder.card import Readme, legend, read_samples, render, without_paths
from hfneg.runs.folder.form import Summary
from hfneg.runs.folder.work_area import SUMMARY, fault_in, refuse_patterns

if TYPE_CHECKING:
    import datasets


def content_digest(folder: Path) -> str:
    """32 hex digits over the parquet files below `folder`, by name and content."""
    state = xxhash.xxh3_128()
    for path in sorted(folder.rglob("*.parquet")):
        state.update(path.name.encode())
        with path.open("rb") as file:
            while chunk := file.read(1 << 24):
                state.update(chunk)
    return state.hexdigest()


def card(summary: Summary, splits: Sequence[str], digest: str, folder: Path | None = None) -> str:
    """``README.md``: the YAML that `load_dataset` reads, and the card of `hfneg.runs.folder.card` for a folder.

    `digest` (of the content) stands in each config, because `load_dataset` keys its cache of a local folder by
    the folder's last name and these configs alone: without it a folder mined anew, or another one of the
    same name, would be served the old rows. The info of the rows says which columns hold anchor and positive.
    `folder` is where the rows to show lie.
    """
    data = [{"split": split, "path": f"data/{split}-*.parquet"} for split in splits]
    ledger = [{"split": "anchors", "path": "ledger/*.parquet"}]
    content, roles = f"(content {digest})", summary["columns"]
    head = {
        "configs": [
            {"config_name": "default", "description": f"the mined rows {content}", "data_files": data, "default": True},
            {
                "config_name": "ledger",
                "description": f"every candidate and its verdict {content}",
                "data_files": ledger,
            },
        ],
        "dataset_info": [{"config_name": "default", "description": columns.described(summary["columns"])}],
        "task_categories": ["text-retrieval", "sentence-similarity"],
        "tags": ["hard-negatives", "hfneg"],
    }
    models = summary.get("models", [])
    facts: dict[str, Any] = {**summary, "recipe": without_paths(summary["recipe"], models)}
    if "teacher" in facts:
        facts["teacher"] = {**facts["teacher"], "teacher": without_paths(facts["teacher"]["teacher"], models)}
    samples = read_samples(folder, summary["columns"]) if folder is not None else []
    shards = sorted(folder.glob("data/*.parquet")) if folder is not None else []
    names = pq.read_schema(shards[0]).names if shards else []
    sources = summary.get("datasets") or []
    origin = ", ".join(dict.fromkeys(source["id"] for source in sources))
    body = render(
        facts,
        place="PATH",
        samples=samples,
        models=models,
        sources=sources,
        named=f"Hard negatives{f' for {origin}' if origin else ''}: {roles['anchor']} to {roles['positive']}",
        legend=legend.of_folder(names, roles),
        split=splits[0],
        positive=json.dumps(roles["positive"], ensure_ascii=False),
    )
    return Readme(head, f"\n{body}").text()


@contextlib.contextmanager
def writing(folder: str | Path, *, wait: bool = False) -> Iterator[None]:
    """A mined folder for one process alone, without what one that was killed has left in it.

    Raises InputError where it is none; InUseError where another process writes into it, unless `wait`.
    """
    path = Path(folder)
    if not wait:
        open_summary(path)
    if not path.is_dir():
        raise InputError(f"there is no folder {str(folder)!r}; give one that hfneg mine wrote")
    with holding.held(path, wait=wait):
        open_summary(path)
        for place in (path, path / "ledger"):
            temporary.sweep_held(place)
        yield


def record(folder: str | Path, **facts: Any) -> None:
    """Add to what ``summary.json`` and the card of a mined folder say, each replaced at once."""
    path = Path(folder)
    with writing(path):
        summary = cast(Summary, {**open_summary(path), **facts})
        refuse_damaged(path)
        text = card(summary, list(summary["rows"]), content_digest(path), path)
        part_files.save_facts(path / SUMMARY, summary)
        store.replace_file(path / "README.md", lambda partial: partial.write_text(text, encoding="utf-8"))


def per_anchor(lengths: Any) -> dict[str, int]:
    """How many anchors got 0, 1, 2 ... negatives."""
    counts = np.bincount(np.asarray(lengths)) if len(lengths) else np.zeros(1, dtype=np.int64)
    return {str(n): int(count) for n, count in enumerate(counts) if count}


def open_rows(out: Path, several: bool) -> datasets.Dataset | datasets.DatasetDict:
    """The mined rows, as `load_dataset` gives them, with an attribute `folder`: where they lie."""
    refuse_patterns(out)
    if not any((out / "data").glob("*.parquet")):
        raise OutputError(f"{out} has lost its rows (data/*.parquet); overwrite it, or mine into another folder")
    refuse_damaged(out, "data/")
    loaded = _loaded(out)
    written, found = open_summary(out)["rows"], {name: len(rows) for name, rows in loaded.items()}
    if found != written:
        raise InputError(
            f"with the head of {out / 'README.md'} as it is, load_dataset reads {found} instead of {written} (rows of "
            "each split): put it back as it was, or delete the file"
        )
    opened = loaded if several else next(iter(loaded.values()))
    opened.folder = out
    return opened


def _loaded(out: Path) -> datasets.DatasetDict:
    """What `load_dataset` gives. Raises InputError where the card, which tells it what to read, cannot be read."""
    import datasets

    try:
        return datasets.load_dataset(str(out), "default")
    except (OSError, ValueError, yaml.YAMLError, datasets.exceptions.DatasetsError) as error:
        said = f"{type(error).__name__}: {error}".split("\n")[0]
        raise InputError(
            f"load_dataset cannot open {out} by the head of its README.md ({said}): put it back as it was, or delete "
            "the file"
        ) from error


def open_summary(folder: str | Path) -> Summary:
    """The counts and settings of a mined folder (its ``summary.json``); the sizes of all its files are checked.

    Raises InputError where the folder was not mined, or not to the end, or a file of it is damaged; InUseError where it
    is being written.
    """
    check_name(folder)
    holding.refuse_held(Path(folder))
    path = Path(folder) / SUMMARY
    if not path.is_file():
        raise InputError(f"{folder} is no mined folder: it has no {SUMMARY}; mine into it first (hfneg mine)")
    facts = json_lines.whole(path)
    if not isinstance(facts, dict) or "recipe" not in facts:
        raise InputError(f"{path} was not written by hfneg (it names no recipe); give a folder that hfneg mine wrote")
    try:
        facts = checksums.unsigned(facts)
    except ValueError as error:
        raise _damaged(Fault(path, str(error))) from error
    refuse_damaged(Path(folder), content=False)
    return cast(Summary, facts)


def refuse_damaged(folder: Path, below: str = "", *, content: bool = True) -> None:
    """Raise InputError naming the first damaged file, of those `below` a folder; without `content` by sizes alone."""
    if (fault := fault_in(folder, below, content=content)) is not None:
        raise _damaged(fault)


def _damaged(fault: Fault) -> InputError:
    return InputError(f"{fault}; copy the whole folder from where it was made, or mine again")


def open_split(folder: Path, split: str | None) -> tuple[Any, str, str]:
    """(rows of one split, anchor column, positive column) of a mined folder."""
    names = open_summary(folder)["columns"]
    splits = open_rows(folder, several=True)
    name = split or (next(iter(splits)) if len(splits) == 1 else "")
    if name not in splits:
        raise InputError(f"{folder} has the splits {', '.join(splits)}; say which (--split).{near_miss(name, splits)}")
    return splits[name], names["anchor"], names["positive"]
