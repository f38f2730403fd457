"""Pairs and corpora from wherever a user has them: BEIR folders, files, saved datasets, Hub ids."""

from __future__ import annotations

import csv
import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfneg import columns, json_lines, store
from hfneg.batches import refuse_surrogates
from hfneg.corpus import Corpus
from hfneg.errors import ColumnError, EmptyInputError, InputError, PositiveError, near_miss
from hfneg.readable import check_name, grade, refuse_half_beir, refuse_special, refuse_unparsable
from hfneg.scrubbing import scrubbed

if TYPE_CHECKING:
    import datasets

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
ANCHOR_NAMES = ("anchor", "query", "question", "sentence1")
POSITIVE_NAMES = ("positive", "answer", "pos", "positives", "passage", "document", "sentence2", "context")
TEXT_NAMES = ("text", "document", "passage", "contents", "body")
ID_NAMES = ("_id", "id", "docid", "doc_id", "document_id", "passage_id", "pid")

BEIR_ANCHOR, BEIR_POSITIVE, BEIR_HIDDEN = "query", "positive", "hidden_positive_ids"


def is_beir(path: Any) -> bool:
    """Whether this is a folder with ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/``."""
    if not isinstance(path, str | Path):
        return False
    folder = Path(path)
    return (folder / "corpus.jsonl").is_file() and (folder / "queries.jsonl").is_file() and (folder / "qrels").is_dir()


def load_beir(folder: str | Path, split: str | None = None, show: int | None = None) -> tuple[datasets.Dataset, Corpus]:
    """A BEIR folder as pairs and corpus: one row per anchor, with the list of its positives.

    Args:
        folder: with ``corpus.jsonl``, ``queries.jsonl``, ``qrels/SPLIT.tsv``.
        split: the qrels to read; "train" where there is one, else the only one.
        show: keep only the first `show` positives of each anchor; the others go into the column
            ``hidden_positive_ids``, which mining does not read. For measuring.

    Returns:
        Columns ``query_id``, ``query``, ``positive_ids``, ``positive`` (their texts), and the corpus.
    """
    import datasets

    path = Path(folder)
    refuse_half_beir(path)
    refuse_special(path)
    corpus = Corpus.from_beir(path)
    queries = _queries(path / "queries.jsonl")
    relevant: dict[str, list[str]] = {}
    for query, document in read_judgments(_qrels(path, split)):
        if query not in queries:
            raise PositiveError(f"{path}: the qrels name the query {query!r}, which queries.jsonl does not have")
        relevant.setdefault(query, []).append(document)
    if not relevant:
        raise EmptyInputError(f"{path}: the qrels name no relevant document")
    shown = {query: documents[:show] for query, documents in relevant.items()}
    rows = {
        "query_id": list(relevant),
        BEIR_ANCHOR: [queries[query] for query in relevant],
        "positive_ids": list(shown.values()),
        BEIR_POSITIVE: [_texts(corpus, documents, path) for documents in shown.values()],
    }
    if show is not None:
        rows[BEIR_HIDDEN] = [relevant[query][show:] for query in relevant]
    texts = datasets.List(datasets.Value("string"))
    features = {name: datasets.Value("string") if name in ("query_id", BEIR_ANCHOR) else texts for name in rows}
    return datasets.Dataset.from_dict(rows, features=datasets.Features(features)), corpus


def _queries(path: Path) -> dict[str, Any]:
    """Text by id; ids as texts, as in the corpus."""
    queries: dict[str, Any] = {}
    for row in json_lines.read(path):
        for key in ("_id", "text"):
            columns.require(key, row, f"{key} of a query in {path}")
            refuse_surrogates([str(row[key])], f"{key} of a query in {path}")
        name = str(row["_id"])
        if queries.setdefault(name, row["text"]) != row["text"]:
            raise InputError(
                f"{path}: two queries have the id {name!r}, {reprlib.repr(queries[name])} and "
                f"{reprlib.repr(row['text'])}: give each an id of its own, for a judgment could mean either"
            )
    return queries


def _qrels(folder: Path, split: str | None) -> Path:
    found = {path.stem: path for path in sorted((folder / "qrels").glob("*.tsv")) if path.is_file()}
    if split is None:
        split = "train" if "train" in found else next(iter(found)) if len(found) == 1 else None
    if split not in found:
        wanted = "say which split" if split is None else f"there is no split {split!r}"
        raise InputError(
            f"{folder}/qrels: {wanted}; there are {', '.join(found) or 'none'}.{near_miss(split or '', found)}"
        )
    return found[split]


def read_judgments(path: Path) -> Iterator[tuple[str, str]]:
    """(query id, document id) of every judgment above zero."""
    with path.open(encoding="utf-8", errors="replace", newline="") as lines:
        for number, row in enumerate(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE), 1):
            if number == 1 and row[:1] == ["query-id"]:
                continue
            try:
                if grade(row[2]) > 0:
                    yield row[0], row[1]
            except (IndexError, ValueError):
                raise InputError(
                    f"{path}, line {number}: expected query-id, corpus-id and score (a finite number) between tabs, "
                    f"found {row!r}; correct or remove the line"
                ) from None


def _texts(corpus: Corpus, ids: list[str], folder: Path) -> list[str]:
    rows = corpus.rows_of_ids(ids)
    if (rows < 0).any():
        missing = [name for name, row in zip(ids, rows, strict=True) if row < 0]
        raise PositiveError(f"{folder}: the qrels name the document {missing[0]!r}, which corpus.jsonl does not have")
    texts: list[str] = corpus.texts(rows).to_pylist()
    return texts


def load_any(path: str, split: str | None = None) -> Any:
    """A `Dataset` (or `DatasetDict` of several splits) from a file, a folder, or a Hub id.

    Files: parquet, JSON lines, CSV, TSV, plain text (a row per line), Arrow; also compressed. Folders: what
    `save_to_disk` wrote, or anything `load_dataset` opens. A Hub id may carry a configuration,
    ``org/name:config``: ``load_dataset("org/name", "config")``; and a revision, ``org/name@v1.0:config``.
    """
    import datasets

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
            loaded = _load_file(location)
        elif any((location / name).is_file() for name in ("dataset_info.json", "dataset_dict.json")):
            loaded = datasets.load_from_disk(path)
        else:
            name, _, revision = path.partition("@") if not location.exists() else (path, "", "")
            pinned = {"revision": revision} if revision else {}
            loaded = datasets.load_dataset(name, config, **pinned, **_cache_of(location))
    except InputError:
        raise
    except Exception as error:  # many kinds, from datasets, huggingface_hub, pyarrow, the network
        wanted = f"expected a file ({', '.join(FILE_TYPES)}), a saved dataset or the id of a dataset on the Hub"
        if location.exists():
            raise InputError(f"cannot load {path!r}: {_reason(error)}; {wanted}") from scrubbed(error)
        raise InputError(
            f"there is no file or folder {path!r}, and as a Hub id it cannot be loaded: {_reason(error)}; {wanted}"
        ) from scrubbed(error)
    return _split_of(loaded, given, split)


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


def _load_file(path: Path) -> Any:
    import datasets

    if not path.stat().st_size:
        raise EmptyInputError(f"{path} is empty: it needs at least one row")
    suffix = _suffix(path)
    refuse_unparsable([path])
    if suffix not in FILE_TYPES:
        raise InputError(f"{path}: cannot tell what kind of file this is; expected one of {', '.join(FILE_TYPES)}")
    options = {"delimiter": "\t"} if suffix == ".tsv" else {}
    return datasets.load_dataset(FILE_TYPES[suffix], data_files=str(path), split="train", **options)


def _suffix(path: Path) -> str:
    """The suffix that tells the kind of a file: ".jsonl" of "pairs.v2.jsonl.gz"."""
    return next((s for s in map(str.lower, path.suffixes[::-1]) if s not in COMPRESSED), "")


def _is_local(path: Path) -> bool:
    """Whether this can only be meant as a file or folder here, not as ``name`` or ``org/name`` of the Hub."""
    return path.is_absolute() or len(path.parts) > 2 or ".." in path.parts or _suffix(path) in FILE_TYPES


def _nearby(path: Path) -> str:
    folder = path.parent
    return near_miss(path.name, (entry.name for entry in folder.iterdir())) if folder.is_dir() else ""


def _split_of(loaded: Any, path: str, split: str | None) -> Any:
    if not isinstance(loaded, dict):
        if split not in (None, "train"):
            raise InputError(f"{path} has no splits, but the split {split!r} was asked for")
        return loaded
    if split is not None:
        if split not in loaded:
            raise InputError(f"{path} has no split {split!r}; it has {', '.join(loaded)}.{near_miss(split, loaded)}")
        return loaded[split]
    return next(iter(loaded.values())) if len(loaded) == 1 else loaded


def as_corpus(given: Any, text: str | None = None, id: str | None = None) -> Corpus | None:
    """A `Corpus` from what a user may pass: itself, a dataset, a list of texts, a path, or None.

    Args:
        given: see above; a dataset may be a `Dataset`, an `IterableDataset` or a `DatasetDict` of one split.
        text, id: columns of a dataset; by their usual names where left out. A column "title" is used too.
    """
    if given is None or isinstance(given, Corpus):
        return given
    if isinstance(given, str | Path):
        if (Path(given) / "corpus.jsonl").is_file():
            return Corpus.from_beir(given)
        given = load_any(str(given))
    if isinstance(given, dict):
        if len(given) != 1:
            raise InputError(f"the corpus has several splits ({', '.join(given)}); pass one of them (--corpus-split)")
        given = next(iter(given.values()))
    if hasattr(given, "column_names"):
        return _corpus_of_columns(given, text, id)
    if isinstance(given, list) and all(isinstance(value, str) for value in given):
        return Corpus.from_texts(given)
    raise InputError(f"{type(given).__name__} is no corpus; pass a Corpus, a Dataset, a list of texts or a path")


def _corpus_of_columns(given: Any, text: str | None, id: str | None) -> Corpus:
    names = given.column_names or list(next(iter(given), {}))  # a stream may not know its columns
    text = text or _guess(names, TEXT_NAMES) or (names[0] if len(names) == 1 else None)
    if text is None:
        raise ColumnError(
            f"cannot tell which column holds the documents' texts; the columns are {', '.join(names) or 'none'}: say "
            "--corpus-text COLUMN, or in Python pass Corpus.from_dataset(dataset, text=..., id=...)"
        )
    title = "title" if "title" in names and text != "title" else None
    return Corpus.from_dataset(given, text=text, id=id or _guess(names, ID_NAMES), title=title)


def guess_columns(names: list[str], anchor: str | None = None, positive: str | None = None) -> tuple[str, str]:
    """The anchor and the positive column: as given, by their usual names, or the only two in their order."""
    names = [name for name in names if name not in columns.OURS]
    others = [name for name in names if name not in (anchor, positive)]
    found = anchor or _guess(others, ANCHOR_NAMES), positive or _guess(others, POSITIVE_NAMES)
    if None in found and len(names) == 2:
        found = anchor or others[0], positive or others[-1]
    if found[0] is None or found[1] is None:
        raise ColumnError(
            f"cannot tell which columns hold the anchor and the positive; the columns are {', '.join(names)}: say "
            "--anchor COLUMN and --positive COLUMN"
        )
    return found[0], found[1]


def _guess(names: list[str], usual: tuple[str, ...]) -> str | None:
    return next((name for name in usual if name in names), None)
