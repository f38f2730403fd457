"""Verdicts: what became of each candidate, as one byte with a name.

Codes below 16 are fixed; the filters of a policy follow from 16 in their order, each with its own name.
"""

from __future__ import annotations

from collections.abc import Sequence

SELECTED = 0
SPARE = 1
KNOWN_POSITIVE = 2
OWN_TEXT = 3
NEAR_POSITIVE = 4
REPEAT = 5
NOT_EXAMINED = 6
PROMOTED = 7
RELAXED = 8
FILLED = 9
GIVEN = 10
CONTAINED = 11
EMPTY = 12
FIRST_FILTER = 16

GUARDED = (KNOWN_POSITIVE, OWN_TEXT, NEAR_POSITIVE, REPEAT, CONTAINED, EMPTY)
ALIKE = (NEAR_POSITIVE, CONTAINED)
"""What the guard finds by comparing a candidate with the positives."""

FIXED = {
    SELECTED: "selected",
    SPARE: "spare",
    KNOWN_POSITIVE: "known_positive",
    OWN_TEXT: "own_text",
    NEAR_POSITIVE: "near_positive",
    REPEAT: "repeat",
    NOT_EXAMINED: "not_examined",
    PROMOTED: "promoted",
    RELAXED: "relaxed",
    FILLED: "filled",
    GIVEN: "given",
    CONTAINED: "contained",
    EMPTY: "empty",
}
MEANING = {
    "selected": "became a hard negative",
    "spare": "survived, but enough came before it",
    "known_positive": "is a positive of its anchor",
    "own_text": "is the anchor's own text, or nearly so",
    "near_positive": "is nearly the same as a positive",
    "repeat": "repeats an earlier candidate",
    "not_examined": "was not needed: enough came before it",
    "promoted": "became an extra positive",
    "relaxed": "was dropped, and taken back for a short anchor",
    "filled": "is random, because its anchor was short",
    "given": "came with the pairs as a negative",
    "contained": "contains a positive, or lies inside one",
    "empty": "is empty, or only white space",
}


def names_of(filters: Sequence[str]) -> dict[int, str]:
    """Code -> name for a policy whose filters have these verdict names.

    A name that occurs twice gets its place behind it ("margin", "margin_2").
    """
    names = dict(FIXED)
    for i, name in enumerate(filters):
        seen = list(filters[: i + 1]).count(name)
        names[FIRST_FILTER + i] = name if seen == 1 else f"{name}_{seen}"
    return names
