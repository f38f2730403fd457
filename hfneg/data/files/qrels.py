"""Files of judgments: BEIR's three columns and TREC's four, between tabs or blanks, with or without a header.

Prefers a refusal to a guess: another number of columns, a grade that is no number, one pair with two grades, or four
columns of which the second is no iteration are errors that show the line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hfneg.data.files import separated
from hfneg.data.layouts import names
from hfneg.errors import EmptyInputError, InputError

EXPECTED = (
    "expected query-id, corpus-id and score, or TREC's four columns (query, 0, document, relevance), between tabs or "
    "blanks"
)
ITERATION = re.compile(r"[Qq]?\d+$")


@dataclass(frozen=True)
class Qrels:
    """Judged pairs of ids, each once, in the order of the file, aligned. `repeated`: lines that said nothing new."""

    queries: list[str]
    documents: list[str]
    grades: list[float]
    repeated: int = 0

    @property
    def relevant(self) -> list[tuple[str, str]]:
        """(query, document) of every judgment above zero."""
        judged = zip(self.queries, self.documents, self.grades, strict=True)
        return [(query, document) for query, document, grade in judged if grade > 0]


def must_be_qrels(path: Path) -> Qrels:
    """As `read_qrels`, of a file that can be nothing else."""
    found = read_qrels(path)
    if found is None:
        with separated.opened(path) as file:
            raise _unlike(path, 1, next(words for words in map(_split, file) if words))
    return found


def read_qrels(path: Path) -> Qrels | None:
    """The judgments of a file; None where its first line names other columns, so that it is a table of its own.

    Raises InputError with the first line that is not as expected, EmptyInputError where there is none.
    """
    grades: dict[tuple[str, str], float] = {}
    repeated = 0
    columns = _columns(path)
    if columns is None:
        return None
    for number, words in _lines(path, columns):
        pair = words[columns.query], words[columns.document]
        grade = _grade(path, number, words, columns.grade)
        if grades.setdefault(pair, grade) != grade:
            raise InputError(
                f"{path}, line {number}: query {pair[0]!r} and document {pair[1]!r} are judged {grade:g} here and "
                f"{grades[pair]:g} before; keep one of the two lines"
            )
        repeated += 1
    if not grades:
        raise EmptyInputError(f"{path} holds no judgment; {EXPECTED}")
    queries, documents = map(list, zip(*grades, strict=True))
    _refuse_one_document(path, documents)
    return Qrels(queries, documents, list(grades.values()), repeated - len(grades))


@dataclass(frozen=True)
class _Columns:
    """Where what stands, of how many; `header`: the first line names them."""

    query: int
    document: int
    grade: int
    width: int
    header: bool


def _columns(path: Path) -> _Columns | None:
    with separated.opened(path) as file:
        first = next((words for words in map(_split, file) if words), None)
    if first is None:
        raise EmptyInputError(f"{path} is empty; {EXPECTED}")
    if _number(first[-1]) is None:
        return _named(first)
    if len(first) not in (3, 4):
        raise _unlike(path, 1, first)
    return _Columns(0, len(first) - 2, len(first) - 1, len(first), header=False)


def _named(header: Sequence[str]) -> _Columns | None:
    """By the names of the first line, in whatever order they are."""
    left = list(header)
    found = []
    for usual in (names.JUDGED_IDS, names.RELEVANCE, names.QUERY_IDS):
        name = names.one_of(left, (*usual, *(names.JUDGED_DOCUMENTS if usual is names.JUDGED_IDS else ())))
        if name is None:
            return None
        left.remove(name)
        found.append(header.index(name))
    if len(left) > 1 or (left and names.one_of(left, names.ITERATIONS) is None and left[0] != "0"):
        return None
    return _Columns(found[2], found[0], found[1], len(header), header=True)


def _lines(path: Path, columns: _Columns) -> Iterator[tuple[int, list[str]]]:
    """(number, words) of every line that is not blank and no header, checked."""
    header = columns.header
    with separated.opened(path) as file:
        for number, words in enumerate(map(_split, file), 1):
            if not words:
                continue
            if header:
                header = False
                continue
            if len(words) != columns.width:
                raise _unlike(path, number, words)
            if columns.width == 4 and not columns.header and not ITERATION.match(words[1]):
                raise InputError(
                    f"{path}, line {number}: of four columns the second is TREC's iteration (0 or Q0), found "
                    f"{words[1]!r} in {words!r}; {EXPECTED}"
                )
            yield number, words


def _split(line: str) -> list[str]:
    """At tabs where there are any, so that texts may hold blanks; else at blanks."""
    line = line.rstrip("\r\n")
    if not line.strip():
        return []
    return [word.strip() for word in line.split("\t")] if "\t" in line.strip() else line.split()


def _grade(path: Path, number: int, words: Sequence[str], place: int) -> float:
    grade = _number(words[place])
    if grade is None or not math.isfinite(grade):
        raise InputError(
            f"{path}, line {number}: {EXPECTED}; found the relevance {words[place]!r}, which is no finite number, in "
            f"{list(words)!r}: correct or remove the line"
        )
    return grade


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _refuse_one_document(path: Path, documents: Sequence[str]) -> None:
    if len(documents) > 1 and set(documents) <= {"0", "Q0"}:
        raise InputError(
            f"{path}: every line names the document {documents[0]!r}, which is TREC's second column; a column of the "
            f"relevance is missing: {EXPECTED}"
        )


def _unlike(path: Path, number: int, words: Sequence[str]) -> InputError:
    run = " (a run, as of trec_eval, is no judgments)" if len(words) == 6 else ""
    return InputError(
        f"{path}, line {number}: {EXPECTED}; found {len(words)} columns{run}: {list(words)!r}; correct or remove the "
        "line"
    )
