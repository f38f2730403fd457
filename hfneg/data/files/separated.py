"""CSV and TSV files, read so that nothing in them becomes something else.

One pass says how a file is written, before `datasets` reads it: whether the first line names the columns, whether
quotes mean anything, and which columns hold nothing but numbers. Cells such as ``NA``, ``null`` and ``None`` stay
texts, and ``007`` stays ``007``. A tab-separated file is read without quoting, as BEIR and MS MARCO write it, unless
all of it is quoted properly. A line that does not have as many fields as the first, or a quote that is never closed, is
an error that names the line.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from hfneg.data.layouts import names
from hfneg.errors import ColumnError, EmptyInputError, InputError

BLOCK = 1 << 24  # a line may be that long
LONGEST_NAME = 60
NUMBERS = {
    "int64": r"^-?(0|[1-9][0-9]{0,17})$",
    "float64": r"^[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?$",
    "bool": r"^(True|False|TRUE|FALSE|true|false)$",
}
_QUOTED = re.compile(r'(^|\t)"[^\t]*""[^\t]*"(\t|$)')


@dataclass(frozen=True)
class Written:
    """How a file is written: its columns, their types as `datasets` names them, its rows."""

    delimiter: str
    quoted: bool
    header: bool
    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: int

    @property
    def options(self) -> dict[str, Any]:
        """What `datasets` has to be told to read it so."""
        import datasets

        kinds = zip(self.columns, self.types, strict=True)
        return {
            "sep": self.delimiter,
            "quoting": csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE,
            "names": list(self.columns),
            "header": 0 if self.header else None,
            "keep_default_na": False,
            "na_values": [""],
            "features": datasets.Features({name: datasets.Value(kind) for name, kind in kinds}),
        }


def load(path: Path, columns: Sequence[str] | None = None) -> Any:
    """The file as a `Dataset`; `columns` names the columns of a file whose first line does not.

    Raises InputError, ColumnError, EmptyInputError: see the module.
    """
    import datasets

    written = look(path, columns)
    rows = datasets.load_dataset("csv", data_files=str(path), split="train", **written.options)
    if len(rows) != written.rows:
        raise InputError(
            f"{path} has {written.rows:,} lines with a row, but {len(rows):,} rows were read; write it as JSON lines "
            "or parquet, or look for line breaks and quotes inside of cells"
        )
    return rows


def options_of(files: Sequence[str], delimiter: str | None) -> dict[str, Any]:
    """What `datasets` has to be told of the files of a folder or of the Hub; those of the Hub are not looked into."""
    literal = {"quoting": csv.QUOTE_NONE} if files and all(".tsv" in file for file in files) else {}
    plain = {"keep_default_na": False, "na_values": [""], **literal}
    if not all(Path(file).is_file() for file in files):
        return plain
    found = [look(Path(file)) for file in files]
    if len({(one.columns, one.delimiter, one.quoted) for one in found}) != 1 or found[0].delimiter != delimiter:
        return plain
    types = zip(*(one.types for one in found), strict=True)
    return replace(found[0], types=tuple(_wider(set(kinds)) for kinds in types)).options


def _wider(kinds: set[str]) -> str:
    if len(kinds) == 1:
        return next(iter(kinds))
    return "float64" if kinds == {"int64", "float64"} else "string"


def look(path: Path, columns: Sequence[str] | None = None) -> Written:
    """How the file is written; see `load`."""
    tabs = ".tsv" in map(str.lower, path.suffixes)
    delimiter = "\t" if tabs else _delimiter(path)
    quoted = _is_quoted(path) if tabs else _checked_quotes(path, delimiter)
    first = _first_row(path, delimiter, quoted)
    header = _has_header(path, first, columns)
    if columns is not None and len(columns) != len(first):
        raise ColumnError(
            f"{path} has {len(first)} columns ({_shown(first)}), but {len(columns)} names were given "
            f"({', '.join(columns)}); name each of them: --columns {','.join(f'c{i}' for i in range(len(first)))}"
        )
    found = _distinct(first if columns is None else columns)
    types, rows = _types(path, delimiter, quoted, header, found)
    return Written(delimiter, quoted, header, tuple(found), types, rows)


def _delimiter(path: Path) -> str:
    """Of a .csv: commas, or what stands in a first line without any: spreadsheets may write semicolons."""
    with opened(path) as file:
        first = next((line for line in file if line.strip()), "")
    return next((mark for mark in ",;\t" if mark in first), ",")


def looks_like_a_row(cells: Sequence[str]) -> bool:
    """Whether a first line holds values, not names of columns."""
    if any(names.is_known(cell) and len(cell) <= LONGEST_NAME and not _is_sentence(cell) for cell in cells):
        return any(re.match(NUMBERS["float64"], cell) for cell in cells)
    return any(
        bool(re.match(NUMBERS["float64"], cell)) or len(cell) > LONGEST_NAME or " " in cell.strip() for cell in cells
    )


def _is_sentence(cell: str) -> bool:
    return cell.rstrip().endswith((".", "?", "!")) or len(cell.split()) > 3


def _has_header(path: Path, first: Sequence[str], columns: Sequence[str] | None) -> bool:
    if columns is not None:
        return [names.key(cell) for cell in first] == [names.key(name) for name in columns]
    if looks_like_a_row(first):
        example = ",".join(("id", "text") if len(first) == 2 and first[0].isdigit() else _example(len(first)))
        raise ColumnError(
            f"the first line of {path} looks like a row, not like names of columns ({_shown(first)}); name its "
            f"columns, such as --columns {example} (columns=[...]), or write a first line with their names"
        )
    return True


def _example(n: int) -> list[str]:
    return ["query", "positive", "negative", *(f"other{i}" for i in range(1, n - 2))][:n]


def _distinct(given: Sequence[str]) -> list[str]:
    """Names for columns, as pandas gives them where one has none or two have the same."""
    found: list[str] = []
    for i, name in enumerate(given):
        name = name or f"Unnamed: {i}"
        again = sum(other == name or other.startswith(f"{name}.") for other in found)
        found.append(f"{name}.{again}" if name in found else name)
    return found


def _first_row(path: Path, delimiter: str, quoted: bool) -> list[str]:
    with opened(path) as file:
        for row in _reader(file, delimiter, quoted):
            if any(row):
                return row
    raise EmptyInputError(f"{path} is empty: it needs at least one row")


def _reader(file: Iterable[str], delimiter: str, quoted: bool, *, strict: bool = False) -> Iterator[list[str]]:
    csv.field_size_limit(BLOCK)
    if not quoted:
        return csv.reader(file, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    return csv.reader(file, delimiter=delimiter, strict=strict)


def _is_quoted(path: Path) -> bool:
    """Whether a tab-separated file is quoted properly in all of its lines, and needs it in one."""
    if not _has_quotes(path):
        return False
    needed, width = False, 0
    try:
        with opened(path) as file:
            for row in _reader(file, "\t", quoted=True, strict=True):
                needed |= any("\t" in cell or "\n" in cell for cell in row)
                if row and len(row) != (width := width or len(row)):
                    return False
        with opened(path) as file:
            first = next(iter(file), "").rstrip("\r\n")
            whole = all(cell[:1] == cell[-1:] == '"' for cell in first.split("\t"))
            return needed or whole or any(_QUOTED.search(line) for line in file)
    except csv.Error:
        return False


def _checked_quotes(path: Path, delimiter: str) -> bool:
    """True; raises InputError for a quote that opens a cell and is not closed at its end: it would swallow lines."""
    if _has_quotes(path):
        with opened(path) as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            begun = 1
            try:
                for _ in reader:
                    begun = reader.line_num + 1
            except csv.Error as error:
                raise InputError(
                    f"{path}, line {begun}: a quote that opens a cell is not closed at its end ({error}), so that it "
                    "would swallow what follows; double the quotes inside of quoted cells, or write the file as JSON "
                    "lines or as .tsv (which is read without quoting)"
                ) from None
    return True


def _has_quotes(path: Path) -> bool:
    with opened(path) as file:
        return any('"' in block for block in iter(lambda: file.read(BLOCK), ""))


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The file as text, whatever it is compressed with. Raises InputError where it is no UTF-8."""
    import fsspec  # type: ignore[import-untyped]

    with fsspec.open(str(path), "rb", compression="infer") as raw:
        text = io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
        try:
            yield text
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is no UTF-8 ({error}); write it again in UTF-8") from None
        finally:
            text.detach()


def _types(
    path: Path, delimiter: str, quoted: bool, header: bool, columns: Sequence[str]
) -> tuple[tuple[str, ...], int]:
    """(type of each column, rows), block by block."""
    import fsspec

    possible, missing = [set(NUMBERS) for _ in columns], [False] * len(columns)
    some, rows = [False] * len(columns), 0
    parse = pyarrow.csv.ParseOptions(
        delimiter=delimiter, quote_char='"' if quoted else False, newlines_in_values=quoted, ignore_empty_lines=True
    )
    numbered = [f"c{i}" for i in range(len(columns))]
    reading = pyarrow.csv.ReadOptions(column_names=numbered, skip_rows=int(header), block_size=BLOCK)
    convert = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(numbered, pa.string()), null_values=[""], strings_can_be_null=True
    )
    try:
        with (
            fsspec.open(str(path), "rb", compression="infer") as file,
            pyarrow.csv.open_csv(file, reading, parse, convert) as blocks,
        ):
            for block in blocks:
                rows += block.num_rows
                for i, column in enumerate(block.columns):
                    missing[i] |= column.null_count > 0
                    some[i] |= column.null_count < len(column)
                    possible[i] = {kind for kind in possible[i] if _all_match(column, NUMBERS[kind])}
    except (pa.ArrowInvalid, StopIteration) as error:
        if "Empty CSV" in str(error):
            raise EmptyInputError(f"{path} has no rows below its first line") from None
        raise InputError(
            f"{path}: {error}; its first line has {len(columns)} fields ({_shown(columns)}): correct the line, or "
            "write the file as JSON lines"
        ) from error
    if not rows:
        raise EmptyInputError(f"{path} has no rows below its first line")
    return tuple(_type(*facts) for facts in zip(possible, missing, some, strict=True)), rows


def _all_match(column: pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(column, pattern)).as_py() in (True, None))


def _type(possible: set[str], missing: bool, some: bool) -> str:
    """Of whole numbers with gaps floating ones, as pandas has no others."""
    if not some or not possible:
        return "string"
    if "bool" in possible:
        return "string" if missing else "bool"
    return "int64" if "int64" in possible and not missing else "float64"


def _shown(cells: Sequence[str]) -> str:
    return ", ".join(repr(cell if len(cell) <= 30 else cell[:27] + "...") for cell in cells[:6])
