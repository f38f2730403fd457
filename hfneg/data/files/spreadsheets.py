"""CSV for people with spreadsheets: cells that cannot run, and what a spreadsheet made of the file read back."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hfneg.errors import InputError

GUARD = "'"
OWN_COLUMNS = {"stratum", "weight"}
"""By which a file is known as one that was written here."""

_RISKY = "[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]"
"""What makes a spreadsheet take a cell for a formula (OWASP, CSV injection), full-width forms included."""

_TO_GUARD = rf"^({GUARD}|\s*{_RISKY})"
_GUARDED = re.compile(rf"{GUARD}(?={GUARD}|\s*{_RISKY})")


def guarded(table: pa.Table) -> pa.Table:
    """A table with a quote before each text that a spreadsheet would calculate; a quote gets another."""
    for i, field in enumerate(table.schema):
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            table = table.set_column(i, field, pc.replace_substring_regex(table[field.name], _TO_GUARD, rf"{GUARD}\1"))
    return table


def unguarded(text: str) -> str:
    """A text without the quote that `guarded` put before it, if it did."""
    return text[1:] if _GUARDED.match(text) else text


def write(table: pa.Table, path: Path) -> None:
    """CSV with guarded texts."""
    import pyarrow.csv

    pyarrow.csv.write_csv(guarded(table), path)


def read(path: Path) -> list[dict[str, Any]] | None:
    """The rows of a file that was written here, all texts and as they were before `guarded`; None for another file.

    Between commas, semicolons or tabs, with or without byte order mark, and whatever ends the lines: as spreadsheets
    save what they have opened. Raises InputError where it cannot be read.
    """
    import pyarrow.csv

    with path.open("rb") as file:
        header = file.readline().decode("utf-8-sig", errors="replace")
    delimiter = max(",;\t", key=header.count)
    names = next(csv.reader([header], delimiter=delimiter), [])
    if not OWN_COLUMNS.issubset(names):
        return None
    try:
        table = pyarrow.csv.read_csv(
            path,
            read_options=pyarrow.csv.ReadOptions(block_size=max(path.stat().st_size, 1 << 20) + 1),
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        )
    except pa.ArrowInvalid as error:
        raise InputError(f"cannot read {path} ({error}); save it once more, as CSV in UTF-8") from None
    return [{name: unguarded(text) for name, text in row.items()} for row in table.to_pylist()]
