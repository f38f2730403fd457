"""Filling the card's template."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from hfneg.cards.words import in_words, references
from hfneg.filters import meaning_of

TEMPLATE = "card.md.jinja"


def render(facts: Mapping[str, Any], **shown: Any) -> str:
    """The body of a card.

    Args:
        facts: what `open_summary` gives.
        shown: what the template asks for besides: ``place`` (what `load_dataset` is given), ``round`` (its config's
            name, None in a folder), ``samples``, ``picture``, ``configs``, ``sources``, ``models``, ``license``,
            ``split``, ``n`` (negatives per row in the snippet), ``short`` (whether some rows have fewer).
    """
    total = max(sum(facts["verdicts"].values()), 1)
    verdicts = [
        {"name": name, "count": count, "share": count / total, "meaning": meaning_of(name)}
        for name, count in facts["verdicts"].items()
        if count
    ]
    absent = dict.fromkeys(("round", "samples", "picture", "configs", "sources", "models", "license", "revision"))
    text: str = _template().render(
        facts=facts,
        verdicts=verdicts,
        words=in_words(facts["recipe"]),
        references=references(facts["recipe"]),
        rows=sum(facts["rows"].values()),
        **{**absent, **shown},
    )
    return text.strip() + "\n"


def bytes_in_words(size: int) -> str:
    """``812 kB``, ``1.4 MB``, ``24.0 GB``."""
    for unit, least in (("GB", 1e9), ("MB", 1e6)):
        if size >= least:
            return f"{size / least:,.1f} {unit}"
    return f"{max(size, 1) / 1e3:,.0f} kB" if size >= 1000 else f"{size} bytes"


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
    return environment.get_template(TEMPLATE)
