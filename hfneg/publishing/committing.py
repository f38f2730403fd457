"""A round on its way into a repository: which number, one commit, one tag; again where somebody else was first."""

from __future__ import annotations

import logging
import os
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfneg import store
from hfneg.cards import Readme
from hfneg.errors import PublishError
from hfneg.publishing.assembling import Assembly, Plan
from hfneg.publishing.carding import README, configs_of, rounds_of
from hfneg.publishing.hub import ConflictError, Head, HubRepository, PassingError
from hfneg.publishing.layout import Config, Staged, round_name, text_formats

log = logging.getLogger(__name__)

GO_ON = "nothing is half published, and what was uploaded is kept: run it again"
CONFLICTS, FAILURES = 12, 4
"""How often a commit is tried again after somebody else's, and after a lost connection or a failing server."""


@dataclass(frozen=True)
class Published:
    """What `publish` did.

    Attributes:
        repo, round, tag: of the dataset.
        commit: the commit that the tag names; None of a dry run.
        new: whether anything was committed, or all was there already.
        configs: each config of this round with rows and bytes.
        folder: where a dry run wrote the repository.
    """

    repo: str
    round: int
    tag: str
    commit: str | None
    new: bool
    configs: tuple[Config, ...]
    folder: Path | None = None

    @property
    def size(self) -> int:
        """Bytes of this round."""
        return sum(config.size for config in self.configs)


class Push:
    """One assembly on its way; `number` None lets the repository say."""

    def __init__(self, assembly: Assembly, number: int | None, private: bool, tag: str | None) -> None:
        self.assembly, self.number, self.private, self.tag = assembly, number, private, tag
        self._scratch = Path()
        self._made: tuple[Any, Staged] | None = None

    @property
    def hub(self) -> HubRepository:
        return self.assembly.hub

    def work(self) -> Published:
        """Commit and tag; other people's commits and lost connections only cost another try."""
        conflicts = failures = 0
        with store.scratch_folder() as self._scratch:
            while True:
                try:
                    return self._try()
                except ConflictError as error:
                    conflicts += 1
                    if conflicts > CONFLICTS:
                        raise
                    log.info("%s; trying again", error)
                    time.sleep(min(0.1 * 2**conflicts, 5.0) * (0.5 + (os.getpid() % 100) / 100))
                except PassingError as error:
                    failures += 1
                    if failures > FAILURES:
                        raise PublishError(f"{error}; {GO_ON}") from error
                    log.info("%s; trying again", error)
                    time.sleep(min(2.0**failures, 30.0))

    def _try(self) -> Published:
        head = self.hub.head()
        if head is None:
            self.hub.refuse_other_kinds()
        elif self.private and not head.private:
            raise PublishError(
                f"{self.hub.name} is there already and public, and private=True was asked for; make it private in its "
                "settings first, or give another name"
            )
        plan = self._plan(head)
        if head is not None and plan.there and not plan.missing:
            return self._found(head, plan)
        staged = self._staged(head, plan)
        files = self.assembly.with_card(head, plan, staged)
        if head is None:
            head = self._created()
        title = f"Publish {plan.tag}" if not plan.there else f"Publish {', '.join(plan.missing)} of {plan.tag}"
        commit = self.hub.commit(files, head.commit, title, self._described(plan))
        self._tag(head, plan, commit)
        return Published(self.hub.name, plan.number, plan.tag, commit, commit != head.commit, tuple(staged.configs))

    def _staged(self, head: Head | None, plan: Plan) -> Staged:
        """The round's files; made once for a number and what was published before it."""
        key = (plan.number, plan.formats, self.assembly.shards(head, plan.number))
        if self._made is None or self._made[0] != key:
            shutil.rmtree(self._scratch / "staged", ignore_errors=True)
            self._made = key, self.assembly.stage(head, plan, self._scratch / "staged")
        return self._made[1]

    def _found(self, head: Head, plan: Plan) -> Published:
        """What is published already; tagged, if an earlier run did not get that far."""
        commit = head.tags.get(plan.tag) or self.hub.commit_of(self._described(plan), head)
        self._tag(head, plan, commit)
        card = Readme.parse(head.read(README) or "", f"the README of {head.repo}").head
        return Published(self.hub.name, plan.number, plan.tag, commit, False, self._published_configs(card, plan))

    def _created(self) -> Head:
        """The head of a new repository."""
        self.hub.create(self.private)
        head = self.hub.head()
        if head is None:
            raise PublishError(f"{self.hub.name} was made, and the Hub does not find it; {GO_ON}")
        if README in head.files:
            raise ConflictError(f"{self.hub.name} was made by somebody else at the same time")
        return head

    def _plan(self, head: Head | None) -> Plan:
        """Which number; raises PublishError where number or tag are taken by other content."""
        text = head.read(README) if head is not None else None
        card = Readme.parse(text or "", f"the README of {self.hub.name}").head
        rounds = {int(entry["round"]): entry for entry in rounds_of(card)}
        same = next((n for n, entry in rounds.items() if entry.get("content") == self.assembly.content), None)
        number = self.number or same or self._next(rounds, head)
        entry = rounds.get(number)
        if entry is not None and entry.get("content") != self.assembly.content:
            raise PublishError(
                f"round {number} of {self.hub.name} is published with other content; leave round= out for the next "
                f"number ({self._next(rounds, head)}), or publish into another repository"
            )
        tag = self.tag or (entry or {}).get("tag") or round_name(number)
        if head is not None:
            self._check_tag(head, tag)
        have = {config.get("config_name") for config in configs_of(card, self.hub.name)}
        there = {name for name in text_formats() if f"{round_name(number)}-{name}" in have}
        formats = tuple(name for name in text_formats() if name in there or name in self.assembly.formats)
        missing = tuple(name for name in formats if name not in there)
        before = head.commit if head is not None and text is not None else None
        return Plan(number, tag, entry is not None, formats, missing, (entry or {}).get("parent") if entry else before)

    @staticmethod
    def _next(rounds: Mapping[int, Any], head: Head | None) -> int:
        tags = head.tags if head is not None else ()
        tagged = [int(match.group(1)) for name in tags if (match := re.fullmatch(r"round-(\d+)", name))]
        return max([0, *rounds, *tagged]) + 1

    def _check_tag(self, head: Head, tag: str) -> bool:
        """Whether the tag is there, with this content; raises PublishError where it has another."""
        if tag not in head.tags:
            return False
        text = head.read(README, head.tags[tag]) if head.files else None
        rounds = rounds_of(Readme.parse(text or "", f"the README of {head.repo} at {tag}").head)
        if not any(entry.get("content") == self.assembly.content for entry in rounds):
            raise PublishError(
                f"the tag {tag!r} of {head.repo} is there already and names other content (commit "
                f"{head.tags[tag][:12]}); say another tag or round, or delete the tag first"
            )
        return True

    def _tag(self, head: Head, plan: Plan, commit: str) -> None:
        """The tag on this commit, where there is none yet."""
        if plan.tag in head.tags:
            return
        try:
            self.hub.tag(plan.tag, commit)
        except ConflictError:
            now = self.hub.head()
            if now is None or not self._check_tag(now, plan.tag):
                raise

    def _described(self, plan: Plan) -> str:
        """What a commit's description says, so that it is found again."""
        return f"{round_name(plan.number)}, content {self.assembly.content}"

    @staticmethod
    def _published_configs(card: Mapping[str, Any], plan: Plan) -> tuple[Config, ...]:
        facts = card["hfneg"]
        listed = facts.get("configs", []) if facts.get("round") == plan.number else []
        return tuple(Config(entry["name"], "", entry["rows"], entry["size"], {}) for entry in listed)
