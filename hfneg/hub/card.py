"""The card of a published round: its provenance and its README."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfneg import __version__
from hfneg.hub import configs
from hfneg.hub.known import FORMAT, PROVENANCE, KnownRounds
from hfneg.hub.round_files import Config, picture_of, round_name
from hfneg.hub.secrets import check_clean
from hfneg.hub.terms import KEYS, Decision
from hfneg.runs.folder.card import Readme, legend, read_samples, render, without_paths
from hfneg.runs.folder.card.words import seeds_of
from hfneg.runs.folder.form import Summary

KEY = "hfneg"
COUNTS = ("rows", "anchors", "documents", "added_positives", "candidates", "negatives", "negatives_per_anchor",
          "wanted_per_anchor")  # fmt: skip
CARRIED = ("columns", "positives_are", "reading", "verdicts", "verdict_codes", "sources", "exact", "corpus", "versions",
           "teacher", "hidden_positives", "calibration", "audit", "parent")  # fmt: skip
TOLD = ("version", "round", "tag", "parent", "mined_after", "content", "recipe", "seed", "models", "teacher",
        "datasets", "corpus", "versions")  # fmt: skip
OF_THE_CONTENT = ("audit", "calibration", "hidden_positives")
"""Measured of rows and ledger: what was published of them still holds where they are the same."""


@dataclass(frozen=True)
class Place:
    """Where a card stands: the dataset's id, the branch's README and rounds, the one that is published included.

    Attributes:
        theirs: configs that somebody else wrote.
        token: must not stand in the card.
    """

    repo: str
    readme: Readme
    known: KnownRounds
    theirs: Sequence[Mapping[str, Any]]
    token: str | None


def provenance(summary: Summary, number: int, tag: str, content: str, parent: str | None) -> dict[str, Any]:
    """The facts of a round, without any path of this machine."""
    told: Mapping[str, Any] = summary
    models = summary.get("models", [])
    facts: dict[str, Any] = {
        "format": FORMAT,
        "version": summary["hfneg"],
        "published_with": __version__,
        "round": number,
        "tag": tag,
        "parent": parent,
        "content": content,
        "recipe": without_paths(summary["recipe"], models),
        "seed": seeds_of(summary["recipe"]),
        "models": [dict(model) for model in models],
        "datasets": summary.get("datasets", []),
        "inputs": {name: summary["identity"].get(name) for name in ("anchors", "rows", "hidden")},
        "counts": {name: told[name] for name in COUNTS},
    }
    facts |= {name: told[name] for name in CARRIED if name in told and name != "parent"}
    if "teacher" in facts:
        facts["teacher"] = {**facts["teacher"], "teacher": without_paths(facts["teacher"]["teacher"], models)}
    if summary.get("parent"):
        facts["mined_after"] = summary["parent"]
    return facts


def write_card(
    place: Place,
    folder: Path,
    summary: Summary,
    number: int,
    decision: Decision,
    languages: Sequence[str] = (),
) -> str:
    """The README with round `number` in it; `languages`: what the publisher says that the texts are in.

    The newest round is the default config and what the body and the key ``hfneg`` tell of; of others the head lists
    what there is. Whatever else the README holds is kept.
    """
    rounds, newest = place.known.rounds, max(place.known.rounds)
    check_clean({"the YAML": dict(rounds[number].facts)}, place.token)
    ours: dict[str, Any] = {"configs": configs.merged(place.theirs, place.known)}
    ours[KEY] = {**_told(rounds[newest].facts), "rounds": [_line(there.facts) for there in rounds.values()]}
    added = {
        "task_categories": ["text-retrieval", "sentence-similarity"],
        "tags": ["hard-negatives", "hfneg", "sentence-transformers"],
        "source_datasets": list(dict.fromkeys(source["id"] for source in rounds[number].facts["datasets"])),
    }
    if languages:
        ours["language"] = list(languages)
    spoken = dict.fromkeys(code for source in decision.sources for code in source.languages)
    default = {
        **decision.head,
        "annotations_creators": ["machine-generated"],
        "pretty_name": place.repo.rpartition("/")[2],
        "language": list(spoken),
        "size_categories": [_size(sum(summary["rows"].values()))],
    }
    card = place.readme.with_head(ours, added, default)
    if decision.head:  # name and link of another licence go with it
        card.head = {key: value for key, value in card.head.items() if key not in KEYS or key in decision.head}
        card.head.update(decision.head)
    if number == newest:
        card = card.with_ours(_body(place, folder, summary, rounds[newest].facts, card.head))
    return card.text()


def rounds_in(head: Mapping[str, Any]) -> dict[int, Mapping[str, Any]]:
    """The rounds that a card's head tells of: number -> its line."""
    ours = head.get(KEY)
    lines = ours.get("rounds") if isinstance(ours, dict) else None
    found = (line for line in lines or [] if isinstance(line, dict))
    return {line["round"]: line for line in found if isinstance(line.get("round"), int)}


def _size(rows: int) -> str:
    """The Hub's name for a number of rows."""
    steps = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
    above = [i for i in range(len(steps)) if rows < 1000 * 10**i]
    if not above:
        return "n>1T"
    return "n<1K" if above[0] == 0 else f"{steps[above[0] - 1]}<n<{steps[above[0]]}"


def _told(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What the head says of the newest round: from what it was made and by what; the rest is in the file it names."""
    told = {name: facts[name] for name in TOLD if name in facts}
    return {**told, "provenance": f"{round_name(facts['round'])}/{PROVENANCE}"}


def _line(facts: Mapping[str, Any]) -> dict[str, Any]:
    """One line per round."""
    line = {name: facts.get(name) for name in ("round", "tag", "parent", "content")}
    return {**line, **{name: facts["counts"].get(name) for name in ("anchors", "negatives")}}


def _body(place: Place, folder: Path, summary: Summary, facts: Mapping[str, Any], head: Mapping[str, Any]) -> str:
    number = facts["round"]
    n, short = _negatives(summary)
    shown: dict[str, Any] = {
        "place": place.repo,
        "named": head.get("pretty_name"),
        "number": number,
        "rounds": [there.facts for there in place.known.rounds.values()],
        "legend": legend.of_round(taught="teacher" in summary),
        "round": round_name(number),
        "revision": facts["tag"],
        "picture": picture_of(number),
        "configs": configs.total(list(map(Config.of_fact, facts["configs"])), place.known.but(number)),
        "is_default": not configs.has_default(place.theirs),
        "sources": facts["datasets"],
        "models": facts["models"],
        "license": head.get("license"),
        "terms": facts.get("terms", {}),
        "again": _again(facts),
        "lacking": facts.get("not_on_hub", []),
        "split": next(iter(summary["rows"])),
        "n": n,
        "short": short,
    }
    clean = {**summary, **{name: facts[name] for name in ("recipe", "teacher", *OF_THE_CONTENT) if name in facts}}
    check_clean({"the body": render(clean, **shown)}, place.token)
    return render(clean, **shown, samples=read_samples(folder, summary["columns"]))


def _negatives(summary: Summary) -> tuple[int, bool]:
    """(negatives per row in the snippet, whether some rows have fewer)."""
    counts = {int(n): count for n, count in summary["negatives_per_anchor"].items()}
    n = min(summary["wanted_per_anchor"], max(counts))
    return max(n, 1), any(found < n for found in counts)


def lacking(summary: Summary, own_corpus: bool) -> list[str]:
    """Which of pairs and corpus never were on the Hub, so that whoever makes the round again has to give them.

    `own_corpus`: whether it has documents besides the positives, so that one was given.
    """
    sources = summary.get("datasets", [])
    roles = [source["role"] for source in sources]
    once = {role for role in roles if roles.count(role) == 1}
    if any("layout" in source for source in sources if source["role"] in once):
        own_corpus = False  # it came with the pairs
    return [role for role in ("pairs", "corpus") if role not in once and (role == "pairs" or own_corpus)]


def _again(facts: Mapping[str, Any]) -> list[str]:
    """What `hfneg reproduce` has to be given besides the card."""
    local = dict.fromkeys(str(model["model"]) for model in facts["models"] if model.get("local"))
    models = [f"--model {shlex.quote(f'{name}=PATH')}" for name in local]  # somebody's folder, for somebody's shell
    return [f"--{role} {role.upper()}" for role in facts.get("not_on_hub", [])] + models
