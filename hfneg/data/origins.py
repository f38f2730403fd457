"""Where a dataset came from on the Hub: its id and the commit it was loaded at."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

_COMMIT = re.compile(r"[0-9a-f]{40}")
_URL = re.compile(r"(?:hf://datasets/|https?://[^/]+/datasets/)([^@/]+(?:/[^@/]+)?)(?:@|/resolve/)([^/]+)/")

Source = dict[str, Any]


def origins(pairs: Any, corpus: Any) -> list[dict[str, str]]:
    """Where pairs and corpus came from, of those that came from the Hub: ``{"role": "pairs", "id": ...}``.

    One entry for each dataset that was put together: several of one role where it was made of several.
    """
    found = []
    for role, data in {"pairs": pairs, "corpus": corpus}.items():
        told = getattr(data, "source", None)  # of pairs that were made of other rows; a column has something else there
        source = dict(told if isinstance(told, Mapping) else source_of(data) or {})
        others = source.pop("also", [])
        found += [{"role": role, **one} for one in (source, *others) if one]
    return found


def source_of(dataset: Any) -> Source | None:
    """Id, revision (commit), config and split of a `Dataset`, a stream or a `DatasetDict`; None where unknown.

    What `datasets` says of the download is taken where it is there; else its cache folder, which is
    ``.../ORG___NAME/CONFIG/VERSION/COMMIT/`` and stays the same over `map`, `filter` and `select`; of a stream the
    files that it will open. A dataset that was read from files, built in memory or saved to disk and loaded again has
    none of these, and no source. One that was put together from several has the others under ``also``.
    """
    found: list[Source] = []
    for source in _sources(dataset):
        if source not in found:
            found.append(source)
    if not found:
        return None
    first, *others = found
    return {**first, "also": others} if others else first


def _sources(dataset: Any) -> Iterator[Source]:
    if isinstance(dataset, dict):
        yield from _of_splits([list(_sources(split)) for split in dataset.values()])
        return
    urls = [str(url) for url in getattr(dataset, "download_checksums", None) or ()]
    split = {} if getattr(dataset, "split", None) is None else {"split": str(dataset.split)}
    name = getattr(getattr(dataset, "info", None), "config_name", None)
    made_up = re.search(r"-[0-9a-f]{16}$", str(name))  # of files that were named one by one
    config = {"config": str(name)} if name and not made_up else {}
    named = [match for url in urls if (match := _URL.match(url))]
    yield from ({"id": match.group(1), "revision": match.group(2), **config, **split} for match in named)
    if named:
        return
    for file in getattr(dataset, "cache_files", None) or ():
        parts = PurePath(file["filename"]).parts[-5:]
        if len(parts) == 5 and "___" in parts[0] and _COMMIT.fullmatch(parts[3]):
            yield {"id": parts[0].replace("___", "/", 1), "revision": parts[3], "config": parts[1], **split}
    for url in _streamed(getattr(dataset, "_ex_iterable", None)):
        match = _URL.match(url)
        if match:
            yield {"id": match.group(1), "revision": match.group(2), **config, **split}


def _of_splits(splits: list[list[Source]]) -> Iterator[Source]:
    """The sources of all splits; where they share one, the split that was loaded says nothing."""
    for sources in splits:
        for source in sources:
            yield {key: value for key, value in source.items() if len(splits) == 1 or key != "split"}


def _streamed(value: Any) -> Iterator[str]:
    """The addresses of the files that a stream's parts will open, however they are wrapped."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (url for part in value.values() for url in _streamed(part))
    elif isinstance(value, list | tuple):
        yield from (url for part in value for url in _streamed(part))
    else:
        for name in ("ex_iterable", "ex_iterables", "kwargs", "args"):
            yield from _streamed(getattr(value, name, None) or ())
