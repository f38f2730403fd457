"""The files of one round, as they will lie in the repository."""

from __future__ import annotations

import logging
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hfneg.data.anchors import Anchors
from hfneg.errors import SettingError, near_miss
from hfneg.formats.identifying import derived_ids
from hfneg.hub.id_texts import NamedTexts, replaced
from hfneg.hub.ids import ADDED, IdRows
from hfneg.runs.folder import mined as mined_folder, statistics as statistics_of
from hfneg.runs.folder.card import histogram_svg
from hfneg.runs.folder.form import Summary
from hfneg.runs.folder.ledger_files import MinedLedger
from hfneg.runs.folder.statistics import Statistics
from hfneg.steps.block.block import Block

log = logging.getLogger(__name__)

ROWS = "rows"
QUERIES, CORPUS, LEDGER = "queries", "corpus", "ledger"
TEXTS = {
    QUERIES: "texts of the anchors, as rows spell them; of all rounds",
    CORPUS: "texts of the documents that rows name; of all rounds",
}
"""The configs that rounds share."""


def round_name(number: int) -> str:
    """``round-001``: zero padded, because configs are listed as text."""
    return f"round-{number:03d}"


FACT = {"name": str, "what": str, "rows": int, "size": int, "files": dict}


@dataclass(frozen=True)
class Config:
    """One config of the card.

    Attributes:
        rows, size: rows and bytes of all its files; of `queries` and `corpus` those of the other rounds too.
        new: bytes of the files that this round brings.
        files: split -> its files in the repository, by name.
    """

    name: str
    what: str
    rows: int
    size: int
    new: int
    files: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, name: str, what: str, rows: int, splits: Mapping[str, Mapping[str, Path]]) -> Config:
        """Of files that lie here, split by split."""
        size = sum(path.stat().st_size for files in splits.values() for path in files.values())
        return cls(name, what, rows, size, size, {split: tuple(files) for split, files in splits.items()})

    def entry(self, content: str) -> dict[str, Any]:
        """As in the ``configs`` of a card: each file by its name, so that no other is taken for ours.

        `content` is there for the cache of `load_dataset`.
        """
        files = [
            {"split": split, "path": paths[0] if len(paths) == 1 else list(paths)}
            for split, paths in self.files.items()
            if paths
        ]
        return {"config_name": self.name, "description": f"{self.what} (content {content})", "data_files": files}

    def fact(self) -> dict[str, Any]:
        """As in the provenance of its round."""
        files = {split: list(paths) for split, paths in self.files.items()}
        return {"name": self.name, "what": self.what, "rows": self.rows, "size": self.size, "files": files}

    @staticmethod
    def is_fact(fact: Any) -> bool:
        """Whether this is what `fact` gives."""
        if not isinstance(fact, dict) or not all(isinstance(fact.get(name), kind) for name, kind in FACT.items()):
            return False
        files = fact["files"].values()
        return all(isinstance(paths, list) and all(isinstance(path, str) for path in paths) for paths in files)

    @classmethod
    def of_fact(cls, fact: Mapping[str, Any]) -> Config:
        files = {split: tuple(paths) for split, paths in fact["files"].items()}
        return cls(fact["name"], fact["what"], fact["rows"], fact["size"], fact["size"], files)

    def behind(self, other: Config) -> Config:
        """The same config with what another round put into it."""
        splits = dict.fromkeys([*other.files, *self.files])
        both = {split: tuple(sorted({*other.files.get(split, ()), *self.files.get(split, ())})) for split in splits}
        return replace(self, rows=other.rows + self.rows, size=other.size + self.size, files=both)

    def only(self, files: Container[str]) -> Config:
        """Without files that are not among these."""
        kept = {split: tuple(path for path in paths if path in files) for split, paths in self.files.items()}
        return replace(self, files=kept)

    def paths(self) -> Iterator[str]:
        """Its files in the repository."""
        for paths in self.files.values():
            yield from paths


@dataclass
class Staged:
    """Path in the repository -> local file, and the configs they make up: of this round alone."""

    files: dict[str, Path] = field(default_factory=dict)
    configs: list[Config] = field(default_factory=list)

    def add(self, name: str, what: str, rows: int, splits: Mapping[str, Mapping[str, Path]]) -> None:
        """A config: split -> its files."""
        for files in splits.values():
            self.files.update(files)
        self.configs.append(Config.of(name, what, rows, splits))


@dataclass(frozen=True)
class EarlierFiles:
    """Shards of queries and documents that other rounds have published: path in the repository -> local copy."""

    queries: Mapping[str, Path] = field(default_factory=dict)
    documents: Mapping[str, Path] = field(default_factory=dict)


def picture_of(number: int) -> str:
    """Where the picture of a round's scores lies."""
    return f"{round_name(number)}/scores.svg"


def text_formats() -> list[str]:
    """What can be published besides ids."""
    from hfneg.formats import TRAINER_FORMATS

    return [ROWS, *(name for name in TRAINER_FORMATS if name != "ids")]


def check_formats(formats: Sequence[str]) -> tuple[str, ...]:
    """The text formats asked for, in the order of `text_formats`; raises SettingError for one that is none."""
    known = text_formats()
    for name in formats:
        if name not in known:
            raise SettingError(
                f"there is no format {name!r} to publish; there are {', '.join(known)} (ids are always published)."
                f"{near_miss(name, known)}"
            )
    return tuple(name for name in known if name in formats)


def stage_round(
    folder: Path, summary: Summary, anchors: Anchors | None, number: int, work: Path, earlier: EarlierFiles
) -> Staged:
    """Ids and scores, queries, documents and the ledger of a round."""
    staged, name = Staged(), round_name(number)
    queries = NamedTexts("query_id", work / QUERIES, name)
    documents = NamedTexts("document_id", work / CORPUS, name)
    for named, known in ((queries, earlier.queries), (documents, earlier.documents)):
        for where, path in known.items():
            named.known(path, where)
    writer = IdRows(folder, summary, anchors, queries, documents)
    splits, rows = {}, 0
    for split in summary["rows"]:
        path = work / name / "ids" / f"{split}-00000.parquet"
        rows += writer.write(split, path)
        splits[split] = {f"{name}/ids/{path.name}": path}
    queries.close()
    documents.close()
    staged.add(name, "ids and scores, a row per anchor and positive", rows, splits)
    for config, named in zip(TEXTS, (queries, documents), strict=True):
        staged.add(
            config, TEXTS[config], named.rows, {"train": {f"{config}/{path.name}": path for path in named.paths}}
        )
    _stage_ledger(staged, folder, summary, anchors, number, work)
    return staged


def _stage_ledger(
    staged: Staged, folder: Path, summary: Summary, anchors: Anchors | None, number: int, work: Path
) -> None:
    """The ledger as it is, what its row numbers mean, and a picture of its scores; one pass over it."""
    name = round_name(number)
    files = {f"{name}/{LEDGER}/{path.name}": path for path in sorted((folder / "ledger").glob("*.parquet"))}
    what = "a row per unique anchor: every candidate, its scores, and the verdict on it"
    staged.add(f"{name}-{LEDGER}", what, summary["anchors"], {"anchors": files})
    ledger = MinedLedger(folder)
    named = np.zeros(summary["documents"], dtype=bool)

    def look(block: Block) -> None:
        named[block.rows] = True
        named[block.positives.flat] = True

    statistics = statistics_of.of(ledger, None if anchors is None else look)
    path = work / picture_of(number)
    path.write_text(_picture(statistics, ledger.taught), encoding="utf-8")
    staged.files[picture_of(number)] = path
    if anchors is not None:
        path = work / name / "documents" / "documents-00000.parquet"
        rows = _write_documents(np.flatnonzero(named), anchors, path)
        what = "ids of the documents that the ledger names by row"
        staged.add(f"{name}-documents", what, rows, {"train": {f"{name}/documents/{path.name}": path}})


def _write_documents(rows: Any, anchors: Anchors, path: Path) -> int:
    """Row of the corpus -> id."""
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([("row", pa.int64()), ("document_id", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(rows), 100_000):
            some = rows[start : start + 100_000]
            ids = anchors.corpus.ids_arrow(some).cast(pa.string())
            if anchors.added:
                mask = pc.match_substring_regex(ids, ADDED)
                texts = anchors.corpus.texts(some[mask.to_numpy(zero_copy_only=False)]).cast(pa.string())
                ids = replaced(ids, mask, derived_ids(texts))
            writer.write_table(pa.table([pa.array(some), ids], schema=schema))
    return len(rows)


def _picture(statistics: Statistics, taught: bool) -> str:
    """Scores of positives, negatives and rejected candidates: the teacher's where there was one, else the source's."""
    scores = statistics.scores["teacher" if taught else "score"]
    groups = {f"{group}s" if group != "rejected" else group: scores[group]
              for group in ("positive", "negative", "rejected") if group in scores}  # fmt: skip
    axis = "score that ranks the candidates"
    if taught:
        axis = "teacher's score" + (" (of the candidates it was asked about)" if statistics.lazy else "")
    return histogram_svg(groups, "Scores, as shares of each group", axis)


def stage_formats(
    staged: Staged, folder: Path, summary: Summary, number: int, work: Path, formats: Sequence[str]
) -> None:
    """Text formats as further configs; logs about how large each will be before it is written."""
    from hfneg.formats import export

    name = round_name(number)
    if ROWS in formats:
        splits = {}
        for split in summary["rows"]:
            paths = sorted((folder / "data").glob(f"{split}-*.parquet"))
            splits[split] = {f"{name}/{ROWS}/{path.name}": path for path in paths}
        staged.add(f"{name}-{ROWS}", "the mined rows with all their columns", sum(summary["rows"].values()), splits)
    wanted = [given for given in formats if given != ROWS]
    mined = mined_folder.open_rows(folder, several=True) if wanted else {}
    for given in wanted:
        splits, rows = {}, 0
        for split, data in mined.items():
            log.info("%s-%s, %s: about %s MB before compression", name, given, split, _estimate(data, given, summary))
            path = work / name / given / f"{split}-00000.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            rows += export(data, given, path, **summary["columns"])
            splits[split] = {f"{name}/{given}/{path.name}": path}
        staged.add(f"{name}-{given}", f"texts as {given}", rows, splits)


def _estimate(data: Any, given: str, summary: Summary) -> str:
    """From the first rows."""
    from hfneg.formats import TRAINER_FORMATS

    sample = data.select(range(min(200, len(data))))
    made = TRAINER_FORMATS[given](sample, **summary["columns"])
    size = sum(batch.nbytes for batch in made.with_format("arrow").iter(100)) if len(made) else 0
    return f"{size / max(len(sample), 1) * len(data) / 1e6:,.1f}"
