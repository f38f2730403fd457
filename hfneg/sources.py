"""Where a dataset came from on the Hub: its id and the commit it was loaded at."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any

_COMMIT = re.compile(r"[0-9a-f]{40}")


def origins(pairs: Any, corpus: Any) -> list[dict[str, str]]:
    """Where pairs and corpus came from, of those that came from the Hub: ``{"role": "pairs", "id": ...}``."""
    given = {"pairs": pairs, "corpus": corpus}
    found = {role: getattr(data, "source", None) or source_of(data) for role, data in given.items()}
    return [{"role": role, **source} for role, source in found.items() if source]


def source_of(dataset: Any) -> dict[str, str] | None:
    """Id, revision (commit), config and split of a `Dataset`, a stream or a `DatasetDict`; None where unknown.

    What `datasets` says of the download is taken where it is there; else its cache folder, which is
    ``.../ORG___NAME/CONFIG/VERSION/COMMIT/`` and stays the same over `map`, `filter` and `select`. A dataset that was
    read from files, built in memory or saved to disk and loaded again has no such folder, and no source.
    """
    if isinstance(dataset, dict):
        found = [source_of(split) for split in dataset.values()]
        for source in found:
            if source is not None and len(found) > 1:
                source.pop("split", None)
        return found[0] if found and all(source == found[0] for source in found) else None
    for url in getattr(dataset, "download_checksums", None) or ():
        match = re.match(r"hf://datasets/([^@]+)@([^/]+)/", str(url))
        if match:
            source = {"id": match.group(1), "revision": match.group(2)}
            config = getattr(dataset, "config_name", None)
            return _with_split(source if config is None else {**source, "config": config}, dataset)
    for file in getattr(dataset, "cache_files", None) or ():
        parts = PurePath(file["filename"]).parts[-5:]
        if len(parts) == 5 and "___" in parts[0] and _COMMIT.fullmatch(parts[3]):
            source = {"id": parts[0].replace("___", "/", 1), "revision": parts[3], "config": parts[1]}
            return _with_split(source, dataset)
    return None


def _with_split(source: dict[str, str], dataset: Any) -> dict[str, str]:
    split = getattr(dataset, "split", None)
    return source if split is None else {**source, "split": str(split)}
