"""Columns of JSON lines that hold now a text, now a list of texts: `datasets` keeps those as JSON, hfneg reads lists.

A text beside lists is a list of one, and a number beside texts is a text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def settled(loaded: Any) -> Any:
    """The dataset, or the splits, with such columns as lists of texts or as texts; anything else is left as it is."""
    import datasets

    if isinstance(loaded, Mapping):
        found = {name: settled(split) for name, split in loaded.items()}
        return loaded if all(found[name] is loaded[name] for name in found) else datasets.DatasetDict(found)
    features = getattr(loaded, "features", None) or {}
    mixed = [name for name, feature in features.items() if type(feature).__name__ == "Json"]
    kinds = {name: kind for name in mixed if (kind := _kind(loaded, name)) is not None}
    if not kinds:
        return loaded
    text = datasets.Value("string")
    own = {name: datasets.List(text) if kind == "texts" else text for name, kind in kinds.items()}

    def written(batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        return {
            name: [_texts(value) if kind == "texts" else _text(value) for value in batch[name]]
            for name, kind in kinds.items()
        }

    return loaded.map(written, batched=True, features=datasets.Features({**features, **own}), desc="Reading lists")


def _kind(rows: Any, name: str) -> str | None:
    """ "texts" where a value is a list, "text" where none is; None where some value is something else."""
    lists = False
    for batch in rows.select_columns(name).iter(1_000):
        for value in batch[name]:
            several = isinstance(value, list)
            lists |= several
            if not all(item is None or isinstance(item, str | int | float) for item in (value if several else [value])):
                return None
    return "texts" if lists else "text"


def _texts(value: Any) -> list[str | None]:
    return [_text(item) for item in (value if isinstance(value, list) else [] if value is None else [value])]


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
