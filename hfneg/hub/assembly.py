"""What goes into the commit: the files of a round and the card, made from a mined folder."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hfneg.data.anchors import Anchors
from hfneg.data.files import FILE_TYPES
from hfneg.hub import configs, terms
from hfneg.hub.card import OF_THE_CONTENT, Place, lacking, provenance, rounds_in, write_card
from hfneg.hub.known import PROVENANCE, README, RECIPE, KnownRounds, PublishedRound
from hfneg.hub.repository import Head, HubRepository
from hfneg.hub.round_files import CORPUS, QUERIES, EarlierFiles, Staged, round_name, stage_formats, stage_round
from hfneg.hub.secrets import check_files
from hfneg.hub.terms import Decision
from hfneg.review.audit import audit
from hfneg.runs.folder.card import Readme, without_paths
from hfneg.runs.folder.form import Summary

log = logging.getLogger(__name__)

DATA = tuple(FILE_TYPES.keys() - {".txt"})  # those are mostly licences and the like
OF_THE_PUSH = ("published_with", "tag", "parent", "terms", "configs", "not_on_hub")
"""Facts that another push of the same folder may say otherwise, without a difference."""


@dataclass(frozen=True)
class State:
    """What there was when it was looked: a branch, its README, and the rounds and configs in it."""

    head: Head | None
    readme: Readme
    known: KnownRounds
    theirs: Sequence[Mapping[str, Any]]

    @classmethod
    def of(cls, head: Head | None, repo: str) -> State:
        text = head.read(README) if head is not None else None
        readme, known = Readme.parse(text or "", f"the README of {repo}"), KnownRounds.of(head)
        return cls(head, readme, known, configs.theirs_of(readme.head, known, repo))

    @property
    def files(self) -> tuple[str, ...]:
        return self.head.files if self.head is not None else ()

    def listed(self) -> set[int]:
        """The rounds that the README tells of."""
        return set(rounds_in(self.readme.head))


@dataclass(frozen=True)
class PushPlan:
    """Which round it is to be.

    Attributes:
        number, tag: its number, and the tag of its commit.
        there: the round as it is published already, with this content; None where it is new.
        core: whether ids, texts and ledger are to be made; else they are there.
        formats: text formats to be added.
        changes: in words, what is to be done to a round that is there; nothing where this is empty.
        parent: the commit that the round was built on; None where there was none.
        ignored: in words, what was asked for and changes nothing.
    """

    number: int
    tag: str
    there: PublishedRound | None
    core: bool
    formats: tuple[str, ...]
    changes: tuple[str, ...]
    parent: str | None
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True)
class Assembly:
    """A mined folder, and how it is to be published.

    Attributes:
        content: digest of its rows and ledger: what makes two folders the same round.
        audit: whether to look for leaks.
        terms_ok: whether the publisher knows of what stands against it in the sources' terms.
        allow_secrets: whether its texts may hold what looks like a secret.
        languages: of the texts, as the publisher said; (): those that the sources' cards name.
    """

    folder: Path
    summary: Summary
    anchors: Anchors | None
    hub: HubRepository
    formats: Sequence[str]
    license: str | None
    content: str
    audit: bool = True
    terms_ok: bool = False
    allow_secrets: bool = False
    languages: tuple[str, ...] = ()

    @cached_property
    def _audit(self) -> dict[str, Any]:
        return _audited(self.folder, self.summary)

    def facts(self, number: int, tag: str, parent: str | None, there: PublishedRound | None) -> dict[str, Any]:
        """The provenance of the round; what was measured of the same rows and ledger before is kept."""
        facts = provenance(self.summary, number, tag, self.content, parent)
        published = there.facts if there is not None else {}
        facts = {**{name: published[name] for name in OF_THE_CONTENT if name in published}, **facts}
        if self.audit and "audit" not in facts:
            facts["audit"] = self._audit
        needed = published.get("not_on_hub")
        facts["not_on_hub"] = needed if there is not None else lacking(self.summary, self._own_corpus)
        return {name: value for name, value in facts.items() if value is not None or name == "parent"}

    @cached_property
    def _own_corpus(self) -> bool:
        """Whether the corpus has documents that are nobody's positives; so where that cannot be known any more."""
        if self.anchors is None:
            return True
        positive = np.zeros(len(self.anchors.corpus), dtype=bool)
        positive[self.anchors.positives(np.arange(len(self.anchors))).flat] = True
        return not bool(positive.all())

    def changes(self, state: State, there: PublishedRound) -> list[str]:
        """In words, what another push would change of a round that is there with this content."""
        now = json.loads(json.dumps(self.facts(there.facts["round"], there.tag, there.facts.get("parent"), there)))
        names = sorted({*now, *there.facts} - {*OF_THE_PUSH})
        found = [name for name in names if now.get(name) != there.facts.get(name)]
        if self.license is not None and self.license != state.readme.head.get("license"):
            found.append("license")
        if self.languages and list(self.languages) != state.readme.head.get("language"):
            found.append("language")
        if set(state.known.rounds) - state.listed():
            found.append("rounds that the README has lost")
        return found

    def decision(self, state: State, public: bool, *, accepted: bool | None = None) -> Decision:
        """Under which licence, after a look at the sources; `accepted` None: what the publisher said."""
        return terms.decide(
            self.hub,
            ids_of(self.summary),
            state.readme.head,
            self.license,
            public=public,
            accepted=self.terms_ok if accepted is None else accepted,
            earlier=[name for there in state.known.rounds.values() for name in ids_of(there.facts)],
        )

    def stage(self, state: State, plan: PushPlan, work: Path) -> Staged:
        """The files of the round that are not there yet, in `work`; logs how large each config is."""
        work.mkdir(parents=True)
        staged = Staged()
        if plan.core:
            staged = stage_round(self.folder, self.summary, self.anchors, plan.number, work, self._earlier(state, plan))
        stage_formats(staged, self.folder, self.summary, plan.number, work, plan.formats)
        check_files(staged.files, allow=self.allow_secrets)
        for config in staged.configs:
            log.info("%s: %s rows, %s MB", config.name, f"{config.rows:,}", f"{config.size / 1e6:,.1f}")
        return staged

    def _earlier(self, state: State, plan: PushPlan) -> EarlierFiles:
        if state.head is None:
            return EarlierFiles()
        others = state.known.but(plan.number)
        queries, documents = ({path: state.head.fetch(path) for path in others.shards(c)} for c in (QUERIES, CORPUS))
        return EarlierFiles(queries, documents)

    def with_card(self, state: State, plan: PushPlan, staged: Staged, decision: Decision) -> dict[str, Path | bytes]:
        """All that goes into the commit."""
        name, there = round_name(plan.number), plan.there
        if state.head is not None and not state.known.rounds and not state.readme.head.get("configs"):
            _say_what_stops_loading(self.hub.name, state.files)
        facts = self.facts(plan.number, plan.tag, plan.parent, there)
        facts["terms"] = decision.facts()
        whole = configs.put(there.configs if there is not None else (), staged.configs)
        facts["configs"] = [config.fact() for config in whole]
        known = KnownRounds(dict(sorted({**state.known.rounds, plan.number: PublishedRound(facts, whole)}.items())))
        place = Place(self.hub.name, state.readme, known, state.theirs, self.hub.token)
        card = write_card(place, self.folder, self.summary, plan.number, decision, self.languages)
        files: dict[str, Path | bytes] = dict(staged.files)
        files[f"{name}/{PROVENANCE}"] = (json.dumps(facts, indent=2, ensure_ascii=False) + "\n").encode()
        files[f"{name}/{RECIPE}"] = without_paths(self.summary["recipe"], self.summary.get("models", [])).encode()
        files[README] = card.encode()
        return files


def ids_of(facts: Mapping[str, Any]) -> list[str]:
    """The datasets on the Hub that pairs and corpus came from, by summary or provenance."""
    return list(dict.fromkeys(str(source["id"]) for source in facts.get("datasets", [])))


def _say_what_stops_loading(repo: str, files: Sequence[str]) -> None:
    """Data files that are loaded by default as long as the card names no configs; it is about to name ours."""
    theirs = [path for path in files if path.lower().endswith(DATA)]
    if theirs:
        log.warning(
            "%s has data of its own (%s), which no config of its card names; once the card has configs, load_dataset "
            "without the name of one no longer finds it: where it is parquet, add one for it to the head of the "
            "README, else open it with data_files=...",
            repo,
            ", ".join(sorted(theirs)[:3]),
        )


def _audited(folder: Path, summary: Summary) -> dict[str, Any]:
    """The audit in the few words a card has room for, over all splits.

    ``{"ok": ..., "errors": {...}, "warnings": [...], "rows": ..., "negatives": ...}``
    ``errors`` is check -> how many; a check that found nothing is left out.
    """
    splits = list(summary["rows"])
    errors: dict[str, int] = {}
    warnings: set[str] = set()
    rows = negatives = 0
    for split in splits:
        report = audit(str(folder), split=split)
        rows, negatives = rows + report.rows, negatives + report.negatives
        warnings.update(report.warnings)
        for name in report.errors:
            errors[name] = errors.get(name, 0) + int(report[name].count)
    return {"ok": not errors, "errors": errors, "warnings": sorted(warnings), "rows": rows, "negatives": negatives}
