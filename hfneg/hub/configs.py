"""The configs of a card: ours beside theirs, and never in their place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hfneg.errors import PublishError
from hfneg.hub.beside import paths_of
from hfneg.hub.known import KnownRounds
from hfneg.hub.round_files import CORPUS, LEDGER, QUERIES, TEXTS, Config, round_name


def configs_of(head: Mapping[str, Any], repo: str) -> list[dict[str, Any]]:
    """The configs that a card's head names; raises PublishError where they are none, for they could not be kept."""
    found = head.get("configs") or []
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise PublishError(f"the README of {repo} has configs that are no list of mappings; mend it first")
    for name in (entry["config_name"] for entry in found if "config_name" in entry):
        if not isinstance(name, str):
            raise PublishError(
                f"the README of {repo} has a config of the name {name!r}, which is no text; mend it first (in quotes)"
            )
    return [dict(entry) for entry in found]


def theirs_of(head: Mapping[str, Any], known: KnownRounds, repo: str) -> list[dict[str, Any]]:
    """The configs that somebody else wrote: of another name than ours, or with files that hfneg did not write."""
    names, paths = known.names(), known.paths()
    return [
        entry
        for entry in configs_of(head, repo)
        if entry.get("config_name") not in names or not _of_files(entry, paths)
    ]


def _of_files(entry: Mapping[str, Any], paths: set[str]) -> bool:
    """Whether it names files, and none but these."""
    return "data_files" in entry and "data_dir" not in entry and set(paths_of(entry["data_files"])) <= paths


def names_of(head: Mapping[str, Any], theirs: Sequence[Mapping[str, Any]], known: KnownRounds) -> set[str]:
    """The names that are theirs, of configs and of what ``dataset_info`` describes."""
    infos = head.get("dataset_info") or []
    described = [info for info in (infos if isinstance(infos, list) else [infos]) if isinstance(info, dict)]
    names = {str(info["config_name"]) for info in described if "config_name" in info} - known.names()
    return names | {str(entry.get("config_name")) for entry in theirs}


def refuse_taken(repo: str, taken: set[str], number: int) -> None:
    """Raise PublishError where a config that round `number` needs is somebody else's."""
    name = round_name(number)
    for config in sorted(taken):
        if config in (*TEXTS, LEDGER) or config == name or config.startswith(f"{name}-"):
            raise PublishError(
                f"{repo} has a config {config!r} that hfneg did not write, or whose files it did not, and round "
                f"{number} would put its own in that place; publish into another repository, or rename theirs in its "
                "README first"
            )


def refuse_files(repo: str, there: Sequence[str], wanted: Iterable[str], known: KnownRounds) -> None:
    """Raise PublishError where a file of the round would replace one that hfneg did not write."""
    for path in sorted(set(wanted).intersection(there) - known.paths()):
        raise PublishError(
            f"{repo} has a file {path} that hfneg did not write and that this round would replace; publish into "
            "another repository, or under another number: round=... (--round)"
        )


def numbers_taken(taken: set[str], files: Sequence[str], tags: Iterable[str], known: KnownRounds) -> set[int]:
    """The numbers that no new round can have: of rounds, tags, and of what is called like one."""
    matches = (re.match(r"round-(\d+)(?:[-/.]|$)", name) for name in (*taken, *files, *tags))
    return {*known.rounds, *(int(match.group(1)) for match in matches if match)}


def merged(theirs: Sequence[Mapping[str, Any]], known: KnownRounds) -> list[dict[str, Any]]:
    """Theirs as they stand, then ours; the newest round is the default unless one of theirs is."""
    newest = max(known.rounds)
    ours: dict[str, dict[str, Any]] = {}
    for number, there in known.rounds.items():
        for config in total(there.configs, known.but(number)):
            ours[config.name] = config.entry(there.content)
    ledger = ours.get(f"{round_name(newest)}-{LEDGER}")
    if ledger is not None:
        ours[LEDGER] = {**ledger, "config_name": LEDGER}
    if round_name(newest) in ours and not has_default(theirs):
        ours[round_name(newest)]["default"] = True
    kept = {entry.get("config_name") for entry in theirs}
    return [*map(dict, theirs), *sorted((e for e in ours.values() if e["config_name"] not in kept), key=_place)]


def has_default(theirs: Sequence[Mapping[str, Any]]) -> bool:
    """Whether `load_dataset` without a name opens one of theirs."""
    return any(entry.get("default") or entry.get("config_name") == "default" for entry in theirs)


def total(configs: Sequence[Config], others: KnownRounds) -> list[Config]:
    """The configs of a round as they are loaded: those that are shared with what the others put into them."""
    return [others.joined(config) for config in configs]


def put(there: Iterable[Config], staged: Iterable[Config]) -> tuple[Config, ...]:
    """The configs of a round after a push: those that are there, with what is pushed in their places or behind them."""
    found = {config.name: config for config in there} | {config.name: config for config in staged}
    return tuple(found.values())


def _place(entry: Mapping[str, Any]) -> tuple[bool, str]:
    """What all rounds share, then the rounds."""
    name = str(entry["config_name"])
    return name not in (QUERIES, CORPUS, LEDGER), name
