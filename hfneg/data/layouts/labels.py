"""What the labels of judged pairs mean: relevant, not relevant, or nothing.

0 and 1 (also as texts, true and false, yes and no) say it themselves. Everything else is refused until the user says
what it means: grades and scores by the least that is relevant, names by which of them are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hfneg.data.judgments import number_of
from hfneg.errors import InputError, SettingError

Codes = npt.NDArray[np.int8]
RELEVANT, NOT_RELEVANT, UNSAID = 1, 0, -1


@dataclass(frozen=True)
class WantedLabels:
    """What the user says of labels.

    min_grade: the least that is relevant; what is below is a given negative. positive, negative: labels by their names
    or values; pairs with other labels are left out.
    """

    min_grade: float | None = None
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.min_grade is not None and (
            not isinstance(self.min_grade, int | float) or self.min_grade != self.min_grade
        ):
            raise SettingError(f"min_grade={self.min_grade!r} must be a number: the least grade that is a positive")
        if self.negative and not self.positive:
            raise SettingError("negative_label was given without positive_label: say which label is a positive, too")
        if self.positive and self.min_grade is not None:
            raise SettingError("positive_label and min_grade were both given; labels are either names or grades")


def meaning(labels: pa.Array, name: str, wanted: WantedLabels, classes: Sequence[str] | None = None) -> Codes:
    """int8 [labels]: `RELEVANT`, `NOT_RELEVANT` or `UNSAID` (null, or a label that the user did not name).

    Args:
        labels: numbers, booleans or texts.
        name: of the column, for messages.
        classes: the names of a ClassLabel's numbers.

    Raises InputError with the values that are there where they do not say what they mean.
    """
    coded = labels.dictionary_encode()
    distinct: list[Any] = coded.dictionary.to_pylist()
    codes = np.array([*_codes(distinct, name, wanted, classes), UNSAID], dtype=np.int8)
    places = coded.indices.fill_null(len(distinct)).to_numpy(zero_copy_only=False).astype(np.int64)
    found: Codes = codes[places]
    return found


def _codes(distinct: list[Any], name: str, wanted: WantedLabels, classes: Sequence[str] | None) -> list[int]:
    words = [_word(value, classes) for value in distinct]
    if wanted.positive:
        return _by_name(words, distinct, name, wanted)
    numbers = [number_of(value) for value in distinct]
    wrong = [value for value, number in zip(distinct, numbers, strict=True) if number is None]
    if wrong or (classes is not None and wanted.min_grade is None and not _are_grades(classes)):
        raise InputError(
            f"the labels in column {name!r} are names or no finite numbers ({_shown(words)}), and do not say which "
            f"mean relevant: say --positive-label {words[0]} and perhaps --negative-label {words[-1]} "
            "(positive_label=..., negative_label=...); pairs with other labels are left out"
        )
    if wanted.min_grade is not None:
        return [UNSAID if n is None or n != n else int(n >= wanted.min_grade) for n in numbers]
    if not {n for n in numbers if n is not None and n == n} <= {0.0, 1.0}:
        raise InputError(
            f"the labels in column {name!r} are not 0 and 1 but {_shown(words)}: for grades or scores say the least "
            "that is relevant, --min-grade N (min_grade=N), and what is below is a given negative; for classes such as "
            "those of NLI which is which, --positive-label and --negative-label; or that all rows are positives, "
            "--label none (label=False)"
        )
    return [UNSAID if n is None or n != n else int(n) for n in numbers]


def _by_name(words: list[str], distinct: list[Any], name: str, wanted: WantedLabels) -> list[int]:
    for label in (*wanted.positive, *wanted.negative):
        if not any(label in (word, str(value)) for word, value in zip(words, distinct, strict=True)):
            raise InputError(f"no row has the label {label!r}; the labels in column {name!r} are {_shown(words)}")
    both = set(wanted.positive) & set(wanted.negative)
    if both:
        raise SettingError(f"the label {min(both)!r} cannot be positive and negative")
    return [
        RELEVANT
        if {word, str(value)} & set(wanted.positive)
        else NOT_RELEVANT
        if {word, str(value)} & set(wanted.negative)
        else UNSAID
        for word, value in zip(words, distinct, strict=True)
    ]


def _word(value: Any, classes: Sequence[str] | None) -> str:
    if classes is not None and isinstance(value, int) and 0 <= value < len(classes):
        return classes[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _are_grades(classes: Sequence[str]) -> bool:
    return all(number_of(name) is not None for name in classes)


def _shown(words: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(words))
    return ", ".join(distinct[:6]) + (f" and {len(distinct) - 6:,} others" if len(distinct) > 6 else "")


def in_words(label: str, wanted: WantedLabels) -> str:
    """Which labels make a positive."""
    if wanted.positive:
        against = f", {', '.join(wanted.negative)} a given negative" if wanted.negative else ""
        return f"{label} ({', '.join(wanted.positive)} is a positive{against})"
    least = 1 if wanted.min_grade is None else wanted.min_grade
    return f"{label} (from {least:g} on a positive, below a given negative)"
