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

from hfneg.base import store
from hfneg.errors import AccessError, HfnegError, PublishError
from hfneg.hub import beside, configs
from hfneg.hub.assembly import Assembly, PushPlan, State
from hfneg.hub.known import README, KnownRounds, PublishedRound
from hfneg.hub.repository import ConflictError, Head, HubRepository, PassingError
from hfneg.hub.round_files import Config, Staged, round_name, text_formats

log = logging.getLogger(__name__)

GO_ON = "run it again: it goes on from there"
CONFLICTS, FAILURES = 12, 4
"""How often a commit is tried again after somebody else's, and after a lost connection or a failing server."""


@dataclass(frozen=True)
class Published:
    """What `publish` did.

    Attributes:
        repo, round, tag: of the dataset.
        commit: the commit that the tag names; None of a dry run.
        new: whether anything was committed, or all was there already.
        configs: each config of this round with rows and bytes; those that rounds share with what is in them now.
        folder: where a dry run wrote the repository.
        changes: of a round that was there, what was changed, in words.
        ignored: what was asked for and made no difference, in words.
    """

    repo: str
    round: int
    tag: str
    commit: str | None
    new: bool
    configs: tuple[Config, ...]
    folder: Path | None = None
    changes: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of this round."""
        return sum(config.new for config in self.configs)


class Push:
    """One assembly on its way; `number` None lets the repository say."""

    def __init__(self, assembly: Assembly, number: int | None, private: bool, tag: str | None) -> None:
        self.assembly, self.number, self.private, self.tag = assembly, number, private, tag
        self._scratch = Path()
        self._made: tuple[Any, Staged] | None = None
        self._began = False  # whether anything was sent that may have changed the repository
        self._wanted: str | None = None  # the tag

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
                        raise self._told(error) from error
                    log.info("%s; trying again", error)
                    time.sleep(min(0.1 * 2**conflicts, 5.0) * (0.5 + (os.getpid() % 100) / 100))
                except PassingError as error:
                    failures += 1
                    if failures > FAILURES:
                        raise self._told(error) from error
                    log.info("%s; trying again", error)
                    time.sleep(min(2.0**failures, 30.0))
                except PublishError as error:
                    if not self._began:
                        raise
                    raise self._told(error) from error

    def _try(self) -> Published:
        head = self.hub.head()
        self._check(head)
        state = State.of(head, self.hub.name)
        plan = self._plan(state)
        self._wanted = plan.tag
        if head is not None and plan.there is not None and not plan.changes:
            return self._found(head, state, plan)
        beside.refuse_other_kind(self.hub.name, state.theirs, state.files)
        public = not (self.private if head is None else head.private)
        decision = self.assembly.decision(state, public)
        staged = self._staged(state, plan)
        files = self.assembly.with_card(state, plan, staged, decision)
        configs.refuse_files(self.hub.name, state.files, files.keys() - {README}, state.known)
        beside.refuse_caught(self.hub.name, state.theirs, files.keys() - {README, *state.files})
        self.hub.validate(bytes(files[README]).decode())
        head = head if head is not None else self._created()
        self._began = True
        commit = self.hub.commit(files, head.commit, _title(plan), self._described(plan))
        self._tag(head, plan, commit)
        whole = configs.put(plan.there.configs if plan.there is not None else (), staged.configs)
        return self._published(state, plan, commit, commit != head.commit, whole)

    def _check(self, head: Head | None) -> None:
        """Raise PublishError where this is no repository to publish into."""
        if head is None:
            return self.hub.refuse_other_kinds()
        beside.refuse_script(self.hub.name, head.files)
        beside.refuse_standalone(head)
        if self.private and not head.private:
            raise PublishError(
                f"{self.hub.name} is there already and public, and private=True was asked for; make it private in its "
                "settings first, or give another name"
            )

    def _staged(self, state: State, plan: PushPlan) -> Staged:
        """The round's files; made once for a number and what was published before it."""
        key = (plan.number, plan.formats, plan.core, state.known.but(plan.number).paths())
        if self._made is None or self._made[0] != key:
            shutil.rmtree(self._scratch / "staged", ignore_errors=True)
            self._made = key, self.assembly.stage(state, plan, self._scratch / "staged")
        return self._made[1]

    def _found(self, head: Head, state: State, plan: PushPlan) -> Published:
        """What is published already; tagged, if an earlier run did not get that far."""
        assert plan.there is not None
        self._say_what_has_changed(head, state, plan.there)
        commit = head.tags.get(plan.tag) or self.hub.commit_of(f"content {self.assembly.content}", head)
        self._tag(head, plan, commit)
        return self._published(state, plan, commit, False, plan.there.configs)

    def _say_what_has_changed(self, head: Head, state: State, there: PublishedRound) -> None:
        """What stands against a round that is there, by the terms of today, and was not accepted when it came."""
        doubts = self.assembly.decision(state, not head.private, accepted=True).accepted
        known = (there.facts.get("terms") or {}).get("accepted", ())
        new = [doubt for doubt in doubts if doubt not in known and not self.assembly.terms_ok]
        if new:
            log.warning(
                "round %d is in %s already, and since then: %s; see whether it may stay there, or make the repository "
                "private", there.facts["round"], self.hub.name, "; ".join(new),
            )  # fmt: skip

    def _published(self, state: State, plan: PushPlan, commit: str, new: bool, whole: tuple[Config, ...]) -> Published:
        total = tuple(configs.total(whole, state.known.but(plan.number)))
        return Published(self.hub.name, plan.number, plan.tag, commit, new, total, None, plan.changes, plan.ignored)

    def _created(self) -> Head:
        """The head of a new repository."""
        self._began = True
        self.hub.create(self.private)
        head = self.hub.head()
        if head is None:
            raise PublishError(f"{self.hub.name} was made, and the Hub does not find it")
        if README in head.files:
            raise ConflictError(f"{self.hub.name} was made by somebody else at the same time")
        return head

    # Which round.

    def _plan(self, state: State) -> PushPlan:
        """Which number; raises PublishError where number, tag or configs are taken by other content."""
        known, head = state.known, state.head
        number = self.number or known.number_of(self.assembly.content) or self._next(state)
        there = known.rounds.get(number)
        if there is not None and there.content != self.assembly.content:
            raise PublishError(
                f"round {number} of {self.hub.name} is published with other content; leave round= out for the next "
                f"number ({self._next(state)}), or publish into another repository"
            )
        taken = configs.names_of(state.readme.head, state.theirs, known)
        have = {config.name for config in there.configs} - there.lost if there is not None else set()
        missing = [name for name in self.assembly.formats if f"{round_name(number)}-{name}" not in have]
        if head is None or there is None:
            configs.refuse_taken(self.hub.name, taken, number)
            tag = self.tag or round_name(number)
            if head is not None:
                self._check_tag(head, tag)
            before = head.commit if head is not None and README in head.files else None
            return PushPlan(number, tag, None, True, tuple(missing), (), before)
        core, again = self._lost(there)
        changes = [f"format {name}" for name in missing] + (["files that were gone"] if there.lost else [])
        changes += self.assembly.changes(state, there)
        missing = [name for name in text_formats() if name in missing or name in again]
        tag = self.tag or there.tag
        self._check_tag(head, tag)
        ignored = [f"format {name}: published already" for name in self.assembly.formats if name not in missing]
        if changes and tag in head.tags:
            if self.tag is not None:
                ignored.append(f"tag {tag}: it stays at the commit that it names")
            tag = _successor(tag, head.tags)
        return PushPlan(
            number, tag, there, core, tuple(missing), tuple(changes), there.facts.get("parent"), tuple(ignored)
        )

    @staticmethod
    def _lost(there: PublishedRound) -> tuple[bool, list[str]]:
        """(whether anything but text formats has lost files, the formats that have)."""
        names = {f"{round_name(there.facts['round'])}-{name}": name for name in text_formats()}
        formats = [names[config] for config in there.lost if config in names]
        return len(formats) < len(there.lost), formats

    def _next(self, state: State) -> int:
        tags = state.head.tags if state.head is not None else ()
        taken = configs.names_of(state.readme.head, state.theirs, state.known)
        return max([0, *configs.numbers_taken(taken, state.files, tags, state.known)]) + 1

    # Its tag.

    def _check_tag(self, head: Head, tag: str) -> bool:
        """Whether the tag is there, with this content; raises PublishError where it has another."""
        if tag not in head.tags:
            return False
        there = self.hub.at(head.tags[tag])
        if KnownRounds.of(there).number_of(self.assembly.content) is None:
            raise PublishError(
                f"the tag {tag!r} of {head.repo} is there already and names other content (commit "
                f"{head.tags[tag][:12]}); say another tag or round, or delete the tag first"
            )
        return True

    def _tag(self, head: Head, plan: PushPlan, commit: str) -> None:
        """The tag on this commit, where there is none yet."""
        if plan.tag in head.tags:
            return
        self._began = True
        try:
            self.hub.tag(plan.tag, commit)
        except ConflictError:
            now = self.hub.head()
            if now is None or not self._check_tag(now, plan.tag):
                raise

    def _described(self, plan: PushPlan) -> str:
        """What a commit's description says, so that it is found again."""
        return f"{round_name(plan.number)}, content {self.assembly.content}"

    # What is said when it does not end well.

    def _told(self, error: PublishError) -> PublishError:
        """The error, with what is there now and what is missing."""
        there = self._there() if self._began else f"nothing of {self.hub.name} was changed"
        kind = AccessError if isinstance(error, AccessError) else PublishError
        return kind(f"{error}. {there[0].upper()}{there[1:]}; {GO_ON}")

    def _there(self) -> str:
        """What the repository holds of the round, after a look."""
        name = self.hub.name
        try:
            head = self.hub.head()
            known = KnownRounds.of(head)
        except HfnegError:
            return (
                f"how far it came cannot be seen now: {name} holds all of the round or nothing of it, and its tag "
                f"{self._wanted!r} may be missing"
            )
        number = known.number_of(self.assembly.content)
        if head is None:
            return f"the repository {name} was not made"
        if number is None:
            return f"the repository {name} is there and holds nothing of this round"
        tag = known.rounds[number].tag
        if tag not in head.tags:
            return f"round {number} is whole in {name}, and its tag {tag!r} is missing"
        if tag != self._wanted:
            return f"round {number} is in {name} as before (tag {tag!r}), and what was to be changed is missing"
        return f"round {number} is whole in {name}, with its tag {tag!r}"


def _title(plan: PushPlan) -> str:
    if plan.there is None:
        return f"Publish {plan.tag}"
    shown = ", ".join(change for change in plan.changes)
    return f"Publish {plan.tag}: {shown}"[:100]


def _successor(tag: str, tags: Mapping[str, str]) -> str:
    """``round-001.1`` after ``round-001``, ``round-001.2`` after that."""
    match = re.fullmatch(r"(.+)\.\d+", tag)
    base = match.group(1) if match and match.group(1) in tags else tag
    n = 1
    while f"{base}.{n}" in tags:
        n += 1
    return f"{base}.{n}"
