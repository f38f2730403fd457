"""The card of a published round: its provenance, its README, and both read back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfneg import __version__
from hfneg.cards import Readme, read_samples, render, without_paths
from hfneg.cards.words import seeds_of
from hfneg.errors import PublishError
from hfneg.publishing.hub import HubRepository
from hfneg.publishing.layout import CORPUS, LEDGER, QUERIES, Config, Staged, round_name
from hfneg.publishing.secrets import check_clean, is_clean

KEY = "hfneg"
FORMAT = 1
README, PROVENANCE = "README.md", "provenance.json"
COUNTS = ("rows", "anchors", "documents", "added_positives", "candidates", "negatives", "negatives_per_anchor",
          "wanted_per_anchor")  # fmt: skip
CARRIED = ("columns", "positives_are", "reading", "verdicts", "verdict_codes", "sources", "exact", "corpus", "versions",
           "teacher", "hidden_positives", "calibration", "audit", "parent")  # fmt: skip


@dataclass(frozen=True)
class Provenance:
    """What a card says of one round.

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


def provenance(summary: Mapping[str, Any], number: int, tag: str, content: str, parent: str | None) -> dict[str, Any]:
    """The facts of a round, without any path of this machine."""
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
        "counts": {name: summary[name] for name in COUNTS},
    }
    facts |= {name: summary[name] for name in CARRIED if name in summary and name != "parent"}
    if "teacher" in facts:
        facts["teacher"] = {**facts["teacher"], "teacher": without_paths(facts["teacher"]["teacher"], models)}
    if summary.get("parent"):
        facts["mined_after"] = summary["parent"]
    return facts


def write_card(
    readme: str | None,
    repo: str,
    folder: Path,
    summary: Mapping[str, Any],
    facts: dict[str, Any],
    staged: Staged,
    *,
    license: str | None,
    token: str | None,
) -> str:
    """The README with this round in it.

    The newest round is the default config and what the body and the key ``hfneg`` tell of; of others the head lists
    what there is. Whatever else `readme` holds is kept.
    """
    before = Readme.parse(readme or "", f"the README of {repo}")
    rounds = _rounds(before.head, facts)
    newest = facts["round"] == max(entry["round"] for entry in rounds)
    configs = merged_configs(configs_of(before.head, repo), staged.configs, facts, newest)
    ours: dict[str, Any] = {"configs": configs}
    ours[KEY] = {**(facts if newest else before.head[KEY]), "rounds": rounds}
    ids = [source["id"] for source in facts["datasets"]]
    added = {
        "task_categories": ["text-retrieval", "sentence-similarity"],
        "tags": ["hard-negatives", "hfneg", "sentence-transformers"],
        "source_datasets": list(dict.fromkeys(ids)),
    }
    default = {"license": license, "annotations_creators": ["machine-generated"]}
    card = before.with_head(ours, added, default)
    if license is not None:
        card.head["license"] = license
    if newest:
        card = card.with_ours(_body(repo, folder, summary, facts, staged, card.head.get("license"), token))
    return card.text()


def _body(
    repo: str,
    folder: Path,
    summary: Mapping[str, Any],
    facts: Mapping[str, Any],
    staged: Staged,
    license: str | None,
    token: str | None,
) -> str:
    n, short = _negatives(summary)
    shown: dict[str, Any] = {
        "place": repo,
        "round": round_name(facts["round"]),
        "revision": facts["tag"],
        "picture": staged.picture,
        "configs": staged.configs,
        "sources": facts["datasets"],
        "models": facts["models"],
        "license": license,
        "split": next(iter(summary["rows"])),
        "n": n,
        "short": short,
    }
    clean = {**summary, **{name: facts[name] for name in ("recipe", "teacher", "audit") if name in facts}}
    check_clean({"the body": render(clean, **shown), "the YAML": dict(facts)}, token)
    samples = [s for s in read_samples(folder, summary["columns"]) if is_clean(repr(s), token)]
    return render(clean, **shown, samples=samples)


def _negatives(summary: Mapping[str, Any]) -> tuple[int, bool]:
    """(negatives per row in the snippet, whether some rows have fewer)."""
    counts = {int(n): count for n, count in summary["negatives_per_anchor"].items()}
    n = min(summary["wanted_per_anchor"], max(counts))
    return max(n, 1), any(found < n for found in counts)


def _rounds(head: Mapping[str, Any], facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One line per round, this one in its place."""
    known = [entry for entry in rounds_of(head) if entry["round"] != facts["round"]]
    line = {name: facts[name] for name in ("round", "tag", "parent", "content")}
    line |= {name: facts["counts"][name] for name in ("anchors", "negatives")}
    return sorted([*known, line], key=lambda entry: int(entry["round"]))


def rounds_of(head: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rounds that a card's head names."""
    ours = head.get(KEY)
    listed = ours.get("rounds") if isinstance(ours, dict) else None
    return [entry for entry in listed or [] if isinstance(entry, dict) and "round" in entry]


def configs_of(head: Mapping[str, Any], repo: str) -> list[dict[str, Any]]:
    """The configs that a card's head names; raises PublishError where they are no list, for they could not be kept."""
    found = head.get("configs") or []
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise PublishError(f"the README of {repo} has configs that are no list of mappings; mend it first")
    return [dict(entry) for entry in found]


def merged_configs(
    theirs: list[dict[str, Any]], configs: Sequence[Config], facts: Mapping[str, Any], newest: bool
) -> list[dict[str, Any]]:
    """Ours among those that are there; the newest round is the default unless somebody else's config is."""
    name, content = round_name(facts["round"]), facts["content"]
    ours = {config.name: config.entry(content) for config in configs}
    if newest and f"{name}-{LEDGER}" in ours:
        ours[LEDGER] = {**ours[f"{name}-{LEDGER}"], "config_name": LEDGER}
    kept = [entry for entry in theirs if entry.get("config_name") not in ours]
    if newest:
        for entry in kept:
            if str(entry.get("config_name", "")).startswith("round-"):
                entry.pop("default", None)
        taken = any(entry.get("default") or entry.get("config_name") == "default" for entry in kept)
        if name in ours and not taken:
            ours[name]["default"] = True
    elif name in ours:
        was = next((entry for entry in theirs if entry.get("config_name") == name), {})
        ours[name] |= {"default": True} if was.get("default") else {}
    return sorted([*kept, *ours.values()], key=_place)


def _place(entry: Mapping[str, Any]) -> tuple[int, str]:
    """Theirs first, then what all rounds share, then the rounds."""
    name = str(entry.get("config_name", ""))
    return (2 if name.startswith("round-") else 1 if name in (QUERIES, CORPUS, LEDGER) else 0), name


def read_card(
    repo: str, revision: str | None = None, *, round: int | None = None, token: str | None = None
) -> Provenance:
    """The provenance of a published round.

    Args:
        repo: a dataset's id on the Hub; ``org/name@revision`` is understood too.
        revision: tag, branch or commit; a round's own tag (``round-002``) means that round. None: the head of main.
        round: which round; None: the one that the tag names, else the newest.
        token: None takes the one that is logged in, if any.

    Raises PublishError: no such repository, revision or round, a card without provenance, or one that a newer hfneg
    wrote; AccessError.
    """
    name, at, given = repo.partition("@")
    revision = revision or (given if at else None)
    hub = HubRepository(name, revision, token)
    head = hub.head()
    if head is None:
        raise PublishError(f"there is no dataset {name!r} at revision {revision or 'main'!r} (or it is private)")
    text = head.read(README)
    card = Readme.parse(text or "", f"the README of {name}").head
    rounds = {entry["round"]: entry for entry in rounds_of(card)}
    if not rounds:
        raise PublishError(
            f"the card of {name} ({revision or 'main'}) holds no provenance (a key {KEY!r} in its YAML): it was not "
            "published by hfneg, or its card was written anew"
        )
    tagged = next((number for number, entry in rounds.items() if entry.get("tag") == revision), None)
    number = round if round is not None else tagged if tagged is not None else max(rounds)
    if number not in rounds:
        raise PublishError(f"{name} has no round {number}; it has {', '.join(map(str, rounds))}")
    facts = card[KEY] if card[KEY].get("round") == number else json.loads(_recorded(head, number))
    if facts.get("format", 0) > FORMAT:
        raise PublishError(f"the card of {name} was written by a newer hfneg ({facts.get('version')}); update hfneg")
    return Provenance(name, head.commit, number, {key: value for key, value in facts.items() if key != "rounds"})


def _recorded(head: Any, number: int) -> str:
    path = f"{round_name(number)}/{PROVENANCE}"
    text: str | None = head.read(path)
    if text is None:
        raise PublishError(f"{head.repo} lists round {number} but has lost {path}")
    return text
