"""Reading files of JSON lines, with errors that name the file and the line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hfneg.errors import InputError


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The object of every line that is not blank. Raises InputError for a line that holds none."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:  # no JSON, or no UTF-8
                raise InputError(f"{path}, line {number} is no JSON ({error}); correct or remove the line") from None
            if not isinstance(row, dict):
                raise InputError(
                    f"{path}, line {number} holds a {type(row).__name__}; expected an object, such as "
                    '{"_id": "d1", "text": "..."}'
                )
            yield row
