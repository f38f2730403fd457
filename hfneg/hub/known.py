"""What a repository holds of hfneg's: its rounds, as each one's own provenance file tells, and their files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hfneg.errors import PublishError
from hfneg.hub.repository import Head
from hfneg.hub.round_files import LEDGER, TEXTS, Config, picture_of, round_name

README, PROVENANCE, RECIPE = "README.md", "provenance.json", "recipe.yaml"
FORMAT = 1
KINDS = {"tag": str, "content": str, "configs": list, "counts": dict}
"""What every provenance file has; one without is somebody else's."""


@dataclass(frozen=True)
class PublishedRound:
    """A round that is published.

    Attributes:
        facts: of its provenance file.
        configs: what it brought, without files that are gone.
        lost: the configs of which files are gone.
    """

    facts: Mapping[str, Any]
    configs: tuple[Config, ...]
    lost: frozenset[str] = frozenset()

    @classmethod
    def of(cls, facts: Mapping[str, Any], files: frozenset[str]) -> PublishedRound:
        """By its facts and all files of the repository."""
        whole = [Config.of_fact(fact) for fact in facts["configs"]]
        there = [config.only(files) for config in whole]
        lost = frozenset(config.name for config in whole if config not in there)
        return cls(facts, tuple(config for config in there if any(config.paths()) or config.name not in lost), lost)

    @property
    def tag(self) -> str:
        return str(self.facts["tag"])

    @property
    def content(self) -> str:
        return str(self.facts["content"])

    def paths(self) -> Iterator[str]:
        """Its files, also those that are gone."""
        name = round_name(self.facts["round"])
        yield from (f"{name}/{PROVENANCE}", f"{name}/{RECIPE}", picture_of(self.facts["round"]))
        for fact in self.facts["configs"]:
            yield from Config.of_fact(fact).paths()


@dataclass(frozen=True)
class KnownRounds:
    """The rounds of a repository by number, in order.

    The README is not asked: its owner may have written it anew.
    """

    rounds: Mapping[int, PublishedRound] = field(default_factory=dict)

    @classmethod
    def of(cls, head: Head | None) -> KnownRounds:
        """Read from the Hub, one small file per round."""
        if head is None:
            return cls()
        facts = {number: facts_of(head, number) for number in numbers_in(head)}
        files = frozenset(head.files)
        return cls({number: PublishedRound.of(found, files) for number, found in facts.items() if found})

    def number_of(self, content: str) -> int | None:
        """The round with this content."""
        return next((number for number, there in self.rounds.items() if there.content == content), None)

    def but(self, number: int) -> KnownRounds:
        """The other rounds."""
        return KnownRounds({n: there for n, there in self.rounds.items() if n != number})

    def shards(self, config: str) -> tuple[str, ...]:
        """The files of a config that all rounds share."""
        shared = (found for there in self.rounds.values() for found in there.configs if found.name == config)
        return tuple(path for found in shared for path in found.paths())

    def paths(self) -> set[str]:
        """Every file of ours."""
        return {path for there in self.rounds.values() for path in there.paths()}

    def names(self) -> set[str]:
        """The configs that are ours."""
        found = {fact["name"] for there in self.rounds.values() for fact in there.facts["configs"]}
        return found | ({LEDGER} if found else set())

    def joined(self, config: Config) -> Config:
        """A config of one round; of one that all share, with what these rounds have put into it before."""
        if config.name not in TEXTS:
            return config
        for there in self.rounds.values():
            for other in (found for found in there.configs if found.name == config.name):
                config = config.behind(other)
        return config


def numbers_in(head: Head) -> list[int]:
    """The rounds whose provenance files are there, in order."""
    matches = (re.fullmatch(rf"round-(\d+)/{re.escape(PROVENANCE)}", path) for path in head.files)
    numbers = sorted(int(match.group(1)) for match in matches if match)
    return [number for number in numbers if f"{round_name(number)}/{PROVENANCE}" in head.files]


def facts_of(head: Head, number: int) -> dict[str, Any] | None:
    """The provenance file of a round; None where there is none of hfneg's.

    Raises PublishError where a newer hfneg wrote it.
    """
    text = head.read(f"{round_name(number)}/{PROVENANCE}")
    try:
        facts = json.loads(text or "null")
    except (ValueError, RecursionError):  # also a number of too many digits
        return None
    if not isinstance(facts, dict) or facts.get("round") != number or not isinstance(facts.get("format"), int):
        return None
    if facts["format"] > FORMAT:
        raise PublishError(f"{head.repo} was published by a newer hfneg ({facts.get('version')}); update hfneg")
    ours = all(isinstance(facts.get(name), kind) for name, kind in KINDS.items())
    return facts if ours and all(Config.is_fact(config) for config in facts["configs"]) else None
