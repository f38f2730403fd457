"""Opening what a user names: files, saved datasets, folders, ids of the Hub."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hfneg.base import store
from hfneg.base.scrubbing import scrubbed
from hfneg.data.files import mixed, separated
from hfneg.data.files.readable import check_name, refuse_special, refuse_unparsable
from hfneg.errors import EmptyInputError, InputError, near_miss

log = logging.getLogger(__name__)

FILE_TYPES = {
    ".parquet": "parquet",
    ".json": "json",
    ".jsonl": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "text",
    ".arrow": "arrow",
}
COMPRESSED = (".gz", ".zst", ".bz2", ".xz")


def load_any(path: str, split: str | None = None, columns: Sequence[str] | None = None) -> Any:
    """A `Dataset` (or `DatasetDict` of several splits) from a file, a folder, or a Hub id.

    Files: parquet, JSON lines, CSV, TSV, plain text (a row per line), Arrow; also compressed. Folders: what
    `save_to_disk` wrote, or anything `load_dataset` opens. A Hub id may carry a configuration,
    ``org/name:config``: ``load_dataset("org/name", "config")``; and a revision, ``org/name@v1.0:config``. `columns`
    names the columns of a CSV or TSV file whose first line does not.
    """
    import datasets

    log.debug("reading %s", path)
    check_name(path)
    given, (path, config) = path, place_of(path)
    location = Path(path)
    if not location.exists() and _is_local(location):
        raise InputError(f"there is no file or folder {path!r}{_nearby(location)}")
    refuse_special(location)
    try:
        if location.is_file():
            if config is not None:
                raise InputError(f"{path} is a file, which has no config {config!r}; leave that out")
            loaded = _load_file(location, columns)
        elif any((location / name).is_file() for name in ("dataset_info.json", "dataset_dict.json")):
            loaded = datasets.load_from_disk(path)
        else:
            name, _, revision = path.partition("@") if not location.exists() else (path, "", "")
            pinned = {"revision": revision} if revision else {}
            loaded = _load_dataset(name, config, {**pinned, **_cache_of(location)})
    except InputError:
        raise
    except Exception as error:  # many kinds, from datasets, huggingface_hub, pyarrow, the network
        wanted = f"expected a file ({', '.join(FILE_TYPES)}), a saved dataset or the id of a dataset on the Hub"
        if location.exists():
            raise InputError(f"cannot load {path!r}: {_reason(error)}; {wanted}") from scrubbed(error)
        raise InputError(
            f"there is no file or folder {path!r}, and as a Hub id it cannot be loaded: {_reason(error)}; {wanted}"
        ) from scrubbed(error)
    return mixed.settled(split_of(loaded, given, split))


def _cache_of(location: Path) -> dict[str, str]:
    """A cache of its own for a local folder as it is now; nothing for a Hub id.

    `datasets` keys the usual one by the folder's last name and the configs in its README, so that another folder of
    the same name, or this one with other files, would be served the old rows.
    """
    if not location.is_dir():
        return {}
    import datasets

    refuse_unparsable(files := sorted(path for path in location.rglob("*") if path.is_file()))
    stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    name = f"folder-{store.digest_of(str(location.resolve()), stats)}"
    return {"cache_dir": str(Path(datasets.config.HF_DATASETS_CACHE) / name)}


def place_of(path: str) -> tuple[str, str | None]:
    """("org/name", "config") of ``org/name:config``, also of a folder; a path that exists is no such thing."""
    place, colon, config = path.rpartition(":")
    return (place, config or None) if colon and place and not Path(path).exists() else (path, None)


def config_names(place: str) -> list[str]:
    """The configs of a dataset on the Hub or of a folder; none where there is no telling."""
    import datasets

    folder = Path(place)
    saved = any((folder / name).is_file() for name in ("dataset_info.json", "dataset_dict.json"))
    if folder.is_file() or saved or (not folder.exists() and _is_local(folder)):
        return []
    try:
        name, _, revision = place.partition("@") if not folder.exists() else (place, "", "")
        return list(datasets.get_dataset_config_names(name, **({"revision": revision} if revision else {})))
    except Exception:  # whatever it is, loading the rows meets it again and says it
        return []


def only_split(loaded: Any) -> Any:
    """The one split there is; of several the training rows have no business in a corpus, so it must be one."""
    if isinstance(loaded, dict):
        raise InputError(f"several splits ({', '.join(loaded)}) where one was expected")
    return loaded


def _reason(error: BaseException) -> str:
    """What went wrong, in one line: `datasets` hides it behind "An error occurred while generating the dataset"."""
    while error.__cause__ is not None:
        error = error.__cause__
    return next(iter(str(error).splitlines()), "") or repr(error)


def _load_file(path: Path, columns: Sequence[str] | None) -> Any:
    import datasets

    if not path.stat().st_size:
        raise EmptyInputError(f"{path} is empty: it needs at least one row")
    suffix = suffix_of(path)
    refuse_unparsable([path])
    if suffix not in FILE_TYPES:
        raise InputError(f"{path}: cannot tell what kind of file this is; expected one of {', '.join(FILE_TYPES)}")
    if FILE_TYPES[suffix] == "csv":
        return separated.load(path, columns)
    if columns is not None:
        raise InputError(f"{path} names its columns itself; --columns is for CSV and TSV files without a first line")
    return datasets.load_dataset(FILE_TYPES[suffix], data_files=str(path), split="train")


def _load_dataset(name: str, config: str | None, options: dict[str, Any]) -> Any:
    """A folder or a Hub id; CSV and TSV in it are read as such a file is, but for the types of those on the Hub."""
    import datasets

    loaded = None
    if not Path(name).is_dir():
        loaded = datasets.load_dataset(name, config, **options)
        first = next(iter(loaded.values()), None) if isinstance(loaded, dict) else loaded
        if getattr(first, "builder_name", None) != "csv":
            return loaded
    elif not any(suffix_of(path) in (".csv", ".tsv") for path in Path(name).rglob("*")):
        return datasets.load_dataset(name, config, **options)
    builder = datasets.load_dataset_builder(name, config, **options)
    if type(builder.config).__name__ != "CsvConfig":
        return loaded or datasets.load_dataset(name, config, **options)
    files = [str(file) for some in (builder.config.data_files or {}).values() for file in some]
    return datasets.load_dataset(name, config, **{**options, **separated.options_of(files, builder.config.sep)})


def suffix_of(path: Path) -> str:
    """The suffix that tells the kind of a file: ".jsonl" of "pairs.v2.jsonl.gz"."""
    return next((s for s in map(str.lower, path.suffixes[::-1]) if s not in COMPRESSED), "")


def _is_local(path: Path) -> bool:
    """Whether this can only be meant as a file or folder here, not as ``name`` or ``org/name`` of the Hub."""
    return path.is_absolute() or len(path.parts) > 2 or ".." in path.parts or suffix_of(path) in FILE_TYPES


def _nearby(path: Path) -> str:
    folder = path.parent
    return near_miss(path.name, (entry.name for entry in folder.iterdir())) if folder.is_dir() else ""


def split_of(loaded: Any, path: str, split: str | None) -> Any:
    if not isinstance(loaded, dict):
        if split not in (None, "train"):
            raise InputError(f"{path} has no splits, but the split {split!r} was asked for")
        return loaded
    if split is not None:
        if split not in loaded:
            raise InputError(f"{path} has no split {split!r}; it has {', '.join(loaded)}.{near_miss(split, loaded)}")
        return loaded[split]
    return next(iter(loaded.values())) if len(loaded) == 1 else loaded
