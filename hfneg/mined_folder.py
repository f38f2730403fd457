"""What a mined folder holds besides its rows: summary, recipe, and a card that makes it loadable."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash
import yaml

from hfneg.errors import InputError, OutputError, near_miss
from hfneg.run_folder import SUMMARY
from hfneg.verdicts import MEANING

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


def card(summary: Mapping[str, Any], splits: Sequence[str], digest: str) -> str:
    """``README.md``: the YAML that `load_dataset` reads, and what a person wants to know first.

    `digest` (of the content) stands in each config, because `load_dataset` keys its cache of a local folder by
    the folder's last name and these configs alone: without it a folder mined anew, or another one of the
    same name, would be served the old rows.
    """
    data = [{"split": split, "path": f"data/{split}-*.parquet"} for split in splits]
    ledger = [{"split": "anchors", "path": "ledger/*.parquet"}]
    content = f"content {digest}"
    head = {
        "configs": [
            {"config_name": "default", "description": content, "data_files": data, "default": True},
            {"config_name": "ledger", "description": content, "data_files": ledger},
        ],
        "task_categories": ["text-retrieval", "sentence-similarity"],
        "tags": ["hard-negatives", "hfneg"],
    }
    return (
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n\n# Hard negatives\n\n"
        f"{summary['negatives']:,} hard negatives for {summary['anchors']:,} anchors, mined by hfneg "
        f"{summary['hfneg']} from {summary['documents']:,} documents.\n\n"
        "```python\nfrom datasets import load_dataset\n\n"
        'rows = load_dataset("PATH")               # your rows with hard_negatives\n'
        'ledger = load_dataset("PATH", "ledger")   # every candidate and what became of it\n```\n\n'
        f"## What became of the candidates\n\n{_verdict_table(summary)}\n"
        f"## Recipe\n\n```yaml\n{summary['recipe']}```\n"
    )


def _verdict_table(summary: Mapping[str, Any]) -> str:
    lines = ["| verdict | candidates | share | it |", "|---|---:|---:|---|"]
    total = max(sum(summary["verdicts"].values()), 1)
    for name, count in summary["verdicts"].items():
        if not count:
            continue
        meaning = MEANING.get(name, "was dropped by the filter of this name")
        lines.append(f"| {name} | {count:,} | {count / total:.1%} | {meaning} |")
    return "\n".join(lines) + "\n"


def per_anchor(lengths: Any) -> dict[str, int]:
    """How many anchors got 0, 1, 2 ... negatives."""
    counts = np.bincount(np.asarray(lengths)) if len(lengths) else np.zeros(1, dtype=np.int64)
    return {str(n): int(count) for n, count in enumerate(counts) if count}


def open_rows(out: Path, several: bool) -> datasets.Dataset | datasets.DatasetDict:
    """The mined rows, as `load_dataset` gives them."""
    import datasets

    if not any((out / "data").glob("*.parquet")):
        raise OutputError(f"{out} has lost its rows (data/*.parquet); overwrite it, or mine into another folder")
    loaded = datasets.load_dataset(str(out), "default")
    return loaded if several else next(iter(loaded.values()))


def open_summary(folder: str | Path) -> dict[str, Any]:
    """The counts and settings of a mined folder (its ``summary.json``).

    Raises InputError where the folder was not mined, or not to the end.
    """
    path = Path(folder) / SUMMARY
    if not path.is_file():
        raise InputError(f"{folder} is no mined folder: it has no {SUMMARY}; mine into it first (hfneg mine)")
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return facts


def open_split(folder: Path, split: str | None) -> tuple[Any, str, str]:
    """(rows of one split, anchor column, positive column) of a mined folder."""
    names = open_summary(folder)["columns"]
    splits = open_rows(folder, several=True)
    name = split or (next(iter(splits)) if len(splits) == 1 else "")
    if name not in splits:
        raise InputError(f"{folder} has the splits {', '.join(splits)}; say which (--split).{near_miss(name, splits)}")
    return splits[name], names["anchor"], names["positive"]
