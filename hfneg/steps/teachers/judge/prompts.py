"""What a judge is asked, and how its answer is read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

Answers = Literal["graded", "yes_no"]

GRADED = """\
You judge search results. Read the query and the passage, and say how well the passage serves somebody who asks this.

3: the passage is about the query and contains the exact answer
2: it has some answer, but unclear, incomplete, or hidden among other things
1: it is about the same subject and does not answer
0: it has nothing to do with the query

Query: {anchor}

Passage: {document}

Say in one short sentence why. Then end with a last line that is nothing but "Grade: " and the number.
"""
"""The grades are those of UMBRELA (Upadhyay et al., 2024, arXiv:2406.06519); the words are ours."""

YES_NO = """\
Query: {anchor}

Passage: {document}

Does the passage answer the query, fully or in part? Answer with one word, yes or no.
"""

PROMPTS: Mapping[Answers, str] = {"graded": GRADED, "yes_no": YES_NO}
HIGHEST: Mapping[Answers, float] = {"graded": 3.0, "yes_no": 1.0}
"""The largest score that an answer can give; the least is 0."""

_PLACES = re.compile(r"\{(anchor|document)\}")
_THOUGHTS = re.compile(r"<think>.*?(</think>|\Z)", re.DOTALL)
_GRADE = re.compile(r"\bgrade\b\W{0,8}([0-3])\b(?!\.\d)", re.IGNORECASE)
_ALONE = re.compile(r"\W*([0-3])\W*")
_ANSWER = re.compile(r"\banswer\b\W{0,8}(yes|no)\b", re.IGNORECASE)
_FIRST = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)


def why_not(template: str) -> str | None:
    """What a template lacks, or None."""
    lacking = [name for name in ("{anchor}", "{document}") if name not in template]
    return f"it lacks {' and '.join(lacking)}, in whose place the texts stand" if lacking else None


def filled(template: str, anchor: str, document: str) -> str:
    """With the texts in their places, whatever braces are in them."""
    texts = {"anchor": anchor, "document": document}
    return _PLACES.sub(lambda place: texts[place[1]], template)


def read(answer: str, answers: Answers) -> float | None:
    """The score that the answer says: the last grade (0 to 3), or 1 for yes and 0 for no; None where it says none.

    Thoughts between <think> and </think> are no answer.
    """
    said = _THOUGHTS.sub("", answer).strip()
    if answers == "graded":
        grades = _GRADE.findall(said) or [match[1] for match in [_ALONE.fullmatch(said)] if match]
        return float(grades[-1]) if grades else None
    words = _ANSWER.findall(said) or [match[1] for match in [_FIRST.match(said)] if match]
    return float(words[-1].lower() == "yes") if words else None


def logit(tokens: Sequence[Mapping[str, Any]]) -> float | None:
    """log P(yes) - log P(no) where the answer is given, from the log-probabilities of its likeliest words.

    Args:
        tokens: ``logprobs.content`` of a chat completion. The first whose own word is yes or no counts.

    Of a word that is not among the likeliest nothing is known but that it is no likelier than the last of these, which
    it counts as. None where no token says yes or no.
    """
    for token in tokens:
        if _word(token["token"]) in ("yes", "no"):
            listed = [(_word(one["token"]), float(one["logprob"])) for one in [*token["top_logprobs"], token]]
            least = min(value for _, value in listed)
            return _log_sum(listed, "yes", least) - _log_sum(listed, "no", least)
    return None


def _word(token: str) -> str:
    return re.sub(r"\W", "", token).lower()


def _log_sum(listed: list[tuple[str, float]], word: str, least: float) -> float:
    """Of all spellings of the word; a token that stands twice counts once."""
    values = {value for name, value in listed if name == word}
    if not values:
        return least
    top = max(values)
    return top + math.log(sum(math.exp(value - top) for value in values))
