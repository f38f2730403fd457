"""Reading files of JSON lines, with errors that name the file and the line; and what no parser survives."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from hfneg.errors import InputError

DEPTH = 500  # of lists and objects in one another: parsers in C++ recurse, and end the process at some 10,000
CHUNK = 1 << 22  # bytes of lines that are looked at together

_ESCAPED, _TEXTS = re.compile(rb"\\."), re.compile(rb'"[^"\n]*"')
_NO_MARKS = bytes(set(range(256)) - set(b'[]{}"\n'))
_STEPS = np.zeros(256, dtype=np.int8)
_STEPS[[ord("["), ord("{")]], _STEPS[[ord("]"), ord("}")]] = 1, -1


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The object of every line that is not blank. Raises InputError for a line that holds none."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except RecursionError:
                raise InputError(f"{path}, line {number} {_too_deep()}") from None
            except ValueError as error:  # no JSON, or no UTF-8
                raise InputError(f"{path}, line {number} is no JSON ({error}); correct or remove the line") from None
            if not isinstance(row, dict):
                raise InputError(
                    f"{path}, line {number} holds a {type(row).__name__}; expected an object, such as "
                    '{"_id": "d1", "text": "..."}'
                )
            yield row


def whole(path: Path) -> Any:
    """The value of a JSON file. Raises InputError where it cannot be read, naming it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, RecursionError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read as JSON ({type(error).__name__}: {error}); make it again, or get it anew"
        ) from None


def refuse_unparsable(path: Path) -> None:
    """Raises InputError where a JSON file, compressed or not, is no UTF-8, which would be found in the middle of the
    work, or is nested so deeply that reading it ends the process."""
    depth, number = 0, 0
    with _opened(path) as file:
        while lines := file.readlines(CHUNK):
            _refuse_other_encodings(path, lines, number)
            steps = _STEPS[np.frombuffer(_brackets(b"".join(lines)), dtype=np.uint8)]
            if depth + np.count_nonzero(steps > 0) > DEPTH:
                levels = depth + np.cumsum(steps, dtype=np.int64)
                if levels.max() > DEPTH:
                    raise InputError(f"{path}, between the lines {number + 1} and {number + len(lines)}, {_too_deep()}")
            depth = max(depth + int(steps.sum(dtype=np.int64)), 0)
            number += len(lines)


def _refuse_other_encodings(path: Path, lines: list[bytes], before: int) -> None:
    for number, line in enumerate(lines, before + 1):
        try:
            line.decode()
        except UnicodeDecodeError as error:
            raise InputError(f"{path}, line {number} is no UTF-8 ({error}); convert the file to UTF-8") from None


def _brackets(json_text: bytes) -> bytes:
    """The brackets that are no part of a text, and line ends."""
    plain = _ESCAPED.sub(b"", json_text) if b"\\" in json_text else json_text
    return _TEXTS.sub(b"", plain.translate(None, _NO_MARKS))


def _opened(path: Path) -> IO[bytes]:
    import fsspec  # type: ignore[import-untyped]

    opened: IO[bytes] = fsspec.open(str(path), "rb", compression="infer").open()
    return opened


def _too_deep() -> str:
    return f"is nested more than {DEPTH} lists or objects deep; remove it, or write it flat"
