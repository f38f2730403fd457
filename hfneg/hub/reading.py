"""The provenance of a published round, read back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hfneg.errors import PublishError
from hfneg.hub.card import KEY, rounds_in
from hfneg.hub.known import PROVENANCE, README, facts_of, numbers_in
from hfneg.hub.repository import HubRepository
from hfneg.hub.round_files import round_name
from hfneg.runs.folder.card import Readme


@dataclass(frozen=True)
class Provenance:
    """What is published of one round besides its data.

    Attributes:
        repo: the dataset's id.
        commit: the commit that was read, 40 hex digits.
        round: its number.
        facts: everything, by name: ``recipe`` (YAML), ``seed``, ``models``, ``teacher``, ``datasets`` (where pairs and
            corpus came from), ``columns``, ``verdicts``, ``counts``, ``versions``, ``content``, ``configs`` ...
    """

    repo: str
    commit: str
    round: int
    facts: Mapping[str, Any]

    @property
    def recipe(self) -> str:
        """The recipe's YAML; a model that lay in a folder is ``local:NAME``, to be given again."""
        return str(self.facts["recipe"])


def read_card(
    repo: str, revision: str | None = None, *, round: int | None = None, token: str | None = None
) -> Provenance:
    """The provenance of a published round.

    Args:
        repo: a dataset's id on the Hub; ``org/name@revision`` is understood too.
        revision: tag, branch or commit; a round's own tag (``round-002``) means that round. None: the head of main.
        round: which round; None: the one that the tag names, else the newest.
        token: None takes the one that is logged in, if any.

    Raises PublishError: no such repository, revision or round, nothing that hfneg published, or something that a newer
    hfneg wrote; AccessError.
    """
    name, at, given = repo.partition("@")
    revision = revision or (given if at else None)
    head = HubRepository(name, revision, token).head()
    if head is None:
        raise PublishError(f"there is no dataset {name!r} at revision {revision or 'main'!r} (or it is private)")
    lines = rounds_in(Readme.parse(head.read(README) or "", f"the README of {name}").head)
    numbers = sorted({*lines, *numbers_in(head)})
    if not numbers:
        raise PublishError(
            f"{name} ({revision or 'main'}) holds no provenance: neither a key {KEY!r} in the YAML of its card nor a "
            f"file {round_name(1)}/{PROVENANCE}; it was not published by hfneg, or that was removed"
        )
    number = round if round is not None else _named(revision, lines, numbers)
    if number not in numbers:
        raise PublishError(f"{name} has no round {number}; it has {', '.join(map(str, numbers))}")
    facts = facts_of(head, number)
    if facts is None:
        raise PublishError(f"{name} lists round {number} but has lost {round_name(number)}/{PROVENANCE}")
    return Provenance(name, head.commit, number, facts)


def _named(revision: str | None, lines: Mapping[int, Mapping[str, Any]], numbers: list[int]) -> int:
    """The round whose tag was given, by the card or by its look; else the newest."""
    tagged = next((number for number, line in lines.items() if revision and line.get("tag") == revision), None)
    match = re.fullmatch(r"round-(\d+)(?:\.\d+)?", revision or "")
    looks = int(match.group(1)) if match and int(match.group(1)) in numbers else None
    return tagged or looks or max(numbers)
