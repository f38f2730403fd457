"""What goes into the commit: the files of a round and the card, made from a mined folder."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfneg.anchors import Anchors
from hfneg.cards import Readme, without_paths
from hfneg.data.files import FILE_TYPES
from hfneg.publishing.carding import PROVENANCE, README, provenance, write_card
from hfneg.publishing.hub import Head, HubRepository
from hfneg.publishing.layout import CORPUS, QUERIES, Earlier, Staged, round_name, stage_formats, stage_round
from hfneg.publishing.licences import licence_for

log = logging.getLogger(__name__)

DATA = tuple(FILE_TYPES.keys() - {".txt"})  # those are mostly licences and the like


@dataclass(frozen=True)
class Plan:
    """Which round it is to be.

    Attributes:
        number, tag: its number, and the tag of its commit.
        there: whether this content is published under this number already.
        formats: text formats that it will have: those asked for, and those that are there.
        missing: those of them that are not there yet.
        parent: the commit that the round was built on; None where there was none.
    """

    number: int
    tag: str
    there: bool
    formats: tuple[str, ...]
    missing: tuple[str, ...]
    parent: str | None


@dataclass(frozen=True)
class Assembly:
    """A mined folder, and how it is to be published.

    Attributes:
        content: digest of its rows and ledger: what makes two folders the same round.
    """

    folder: Path
    summary: Mapping[str, Any]
    anchors: Anchors | None
    hub: HubRepository
    formats: Sequence[str]
    license: str | None
    content: str

    @property
    def sources(self) -> Sequence[Mapping[str, str]]:
        """The datasets on the Hub that it was mined from."""
        found: Sequence[Mapping[str, str]] = self.summary.get("datasets", [])
        return found

    def stage(self, head: Head | None, plan: Plan, work: Path) -> Staged:
        """The files of the round, in `work`; logs how large each config is."""
        work.mkdir(parents=True)
        shards = self.shards(head, plan.number)
        local = {path: head.fetch(path) for path in shards} if head is not None else {}
        parts = {
            folder: {path: local[path] for path in local if path.startswith(f"{folder}/")}
            for folder in (QUERIES, CORPUS)
        }
        earlier = Earlier(parts[QUERIES], parts[CORPUS])
        staged = stage_round(self.folder, self.summary, self.anchors, plan.number, work, earlier)
        stage_formats(staged, self.folder, self.summary, plan.number, work, plan.formats)
        for config in staged.configs:
            log.info("%s: %s rows, %s MB", config.name, f"{config.rows:,}", f"{config.size / 1e6:,.1f}")
        return staged

    def shards(self, head: Head | None, number: int) -> tuple[str, ...]:
        """Queries and documents that the other rounds have published."""
        own = re.compile(rf"({QUERIES}|{CORPUS})/(?!{round_name(number)}-).*\.parquet")
        return tuple(path for path in (head.files if head is not None else ()) if own.fullmatch(path))

    def with_card(self, head: Head | None, plan: Plan, staged: Staged, *, ask: bool = True) -> dict[str, Path | bytes]:
        """All that goes into the commit; with `ask` the Hub is asked for the licences of the sources."""
        name = round_name(plan.number)
        readme = head.read(README) if head is not None else None
        before = Readme.parse(readme or "", f"the README of {self.hub.name}").head
        if head is not None and "hfneg" not in before and not before.get("configs"):
            _say_what_stops_loading(self.hub.name, head.files)
        license = licence_for(self.license, before, self.sources, self.hub if ask else None)
        facts = provenance(self.summary, plan.number, plan.tag, self.content, plan.parent)
        facts["configs"] = [{"name": c.name, "rows": c.rows, "size": c.size} for c in staged.configs]
        card = write_card(
            readme, self.hub.name, self.folder, self.summary, facts, staged, license=license, token=self.hub.token
        )
        files: dict[str, Path | bytes] = dict(staged.files)
        files[f"{name}/{PROVENANCE}"] = (json.dumps(facts, indent=2, ensure_ascii=False) + "\n").encode()
        files[f"{name}/recipe.yaml"] = without_paths(self.summary["recipe"], self.summary.get("models", [])).encode()
        files[README] = card.encode()
        return files


def _say_what_stops_loading(repo: str, files: Sequence[str]) -> None:
    """Data files that are loaded by default as long as the card names no configs; it is about to name ours."""
    theirs = [path for path in files if path.lower().endswith(DATA)]
    if theirs:
        log.warning(
            "%s has data of its own (%s), which no config of its card names; once the card has configs, load_dataset "
            "without the name of one no longer finds it: add one for it to the head of the README",
            repo,
            ", ".join(sorted(theirs)[:3]),
        )
