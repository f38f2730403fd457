"""Filling the card's template."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from hfneg.runs.folder.card.markdown import block, escaped, in_code, in_code_cell
from hfneg.runs.folder.card.words import in_one_line, in_words, references
from hfneg.steps.filters import meaning_of

TEMPLATE = "card.md.jinja"


def render(facts: Mapping[str, Any], **shown: Any) -> str:
    """The body of a card.

    Args:
        facts: what `open_summary` gives.
        shown: what the template asks for besides: ``place`` (what `load_dataset` is given), ``round`` (its config's
            name, None in a folder), ``samples``, ``picture``, ``configs``, ``is_default`` (whether no config's name
            means this round), ``sources``, ``models``, ``license``, ``terms``, ``again`` (options to make it again),
            ``lacking`` (data that was not on the Hub), ``split``, ``n`` (negatives per row in the snippet), ``short``
            (whether some rows have fewer), ``named`` (what the dataset is called), ``number`` (of the round),
            ``rounds`` (facts of all rounds), ``legend`` (column -> what it holds).
    """
    total = max(sum(facts["verdicts"].values()), 1)
    codes = {name: code for code, name in facts.get("verdict_codes", {}).items()}
    verdicts = [
        {"code": codes.get(name), "name": name, "count": count, "share": count / total, "meaning": meaning_of(name)}
        for name, count in facts["verdicts"].items()
        if count
    ]
    absent = dict.fromkeys(("round", "samples", "picture", "configs", "sources", "models", "license", "revision",
                            "is_default", "lacking", "named", "number", "rounds", "legend"))  # fmt: skip
    text: str = _template().render(
        facts=facts,
        verdicts=verdicts,
        words=in_words(facts["recipe"]),
        references=references(facts["recipe"]),
        rows=sum(facts["rows"].values()),
        **{**absent, "terms": {}, "again": [], **shown},
    )
    return text.strip() + "\n"


def bytes_in_words(size: int) -> str:
    """``812 kB``, ``1.4 MB``, ``24.0 GB``."""
    for unit, least in (("GB", 1e9), ("MB", 1e6)):
        if size >= least:
            return f"{size / least:,.1f} {unit}"
    return f"{max(size, 1) / 1e3:,.0f} kB" if size >= 1000 else f"{size} bytes"


def _licences(names: Any, called: str | None = None) -> str:
    """Names of licences as code, one that is "other" with the name it has."""
    said = [in_code_cell(name) for name in (names if isinstance(names, list) else [names])]
    return " and ".join(said) + (f" ({escaped(called)})" if called else "")


def _false_rate(facts: Mapping[str, Any]) -> str:
    """Of a round, in a cell: what is known of its false negatives."""
    if "calibration" in facts:
        return escaped(facts["calibration"])
    if "hidden_positives" in facts:
        return f"{facts['hidden_positives']['share_of_negatives']:.1%} (hidden positives)"
    return "not measured"


def _access(source: Mapping[str, Any]) -> str:
    """Who could read a source when this was published."""
    if not source["seen"]:
        return "not to be seen"
    found = [word for word in ("private", "gated") if source[word]]
    return " and ".join(found) or "open"


@cache
def _template() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["thousands"] = lambda number: f"{number:,}"
    environment.filters["percent"] = lambda share: f"{share:.1%}"
    environment.filters["bytes"] = bytes_in_words
    environment.filters |= {"cell": escaped, "code": in_code, "code_cell": in_code_cell, "block": block}
    environment.filters |= {"in_one_line": in_one_line, "false_rate": _false_rate}
    environment.filters |= {"licences": _licences, "access": _access}
    return environment.get_template(TEMPLATE)
