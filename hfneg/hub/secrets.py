"""What must never be published: keys and tokens, local paths and user names, addresses of private networks.

Three kinds of text, three answers:

- The card and the provenance are our own words. What must not be in them is refused.
- The rows of the card that are shown as examples are somebody's texts. There it is masked (`hfneg.base.scrubbing`).
- The data are somebody's texts too, and changing them would be worse than not publishing them. Keys and tokens by
  their forms, and the folders of this machine, are refused; ``allow_secrets=True`` says that they belong there. The
  own tokens of whoever publishes are refused even then.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hfneg.base import store
from hfneg.base.addresses import WEB, is_internal
from hfneg.base.scrubbing import ANY, form_of, own_secrets, remember, written
from hfneg.errors import PublishError

SHOWN = 4  # characters of what was found that a message shows
ROWS = 20_000  # rows that are looked at together

PATHS = re.compile(
    r"(?<![\w.:/~-])(?:~[\w.-]*/[^\s'\"`|)<>]+|/(?:[\w.@+~-]+/)+[\w.@+~-]*)"  # ~/x, /a/b; not https://a/b, not </b>
    r"|(?<![A-Za-z])[A-Za-z]:(?:\\|/(?!/))[^\s'\"`|]+|\\\\[\w.$-]+\\[^\s'\"`|]+|\bfile:/[^\s'\"`|)]+"
    r"|\b[\w.-]+@[\w.-]+:[~/][^\s'\"`|)]*"  # as scp writes it
)


class FoundSecret(NamedTuple):
    """What was found: of which kind, the text of it, and whether `allow_secrets` would let it through."""

    kind: str
    text: str
    allowed: bool = True

    @property
    def shown(self) -> str:
        return f"{self.text[:SHOWN]}..."


class Sought(NamedTuple):
    """What is looked for in the data: secrets and folders of whoever publishes, and whether forms count."""

    own: list[str]
    folders: list[str]
    forms: bool

    @classmethod
    def now(cls, *, allow: bool = False) -> Sought:
        own = dict.fromkeys(way for secret in own_secrets() for way in written(secret))
        return cls(list(own), [] if allow else _folders(), not allow)

    @property
    def pattern(self) -> str:
        """For RE2: whether a text may hold any of it; empty where there is nothing to look for."""
        return "|".join([*map(re.escape, (*self.own, *self.folders)), *([ANY] if self.forms else [])])

    def found(self, text: str) -> FoundSecret | None:
        """The first of it in a text."""
        for secret in self.own:
            if secret in text:
                return FoundSecret("a token or password of yours", secret, allowed=False)
        form = form_of(text) if self.forms else None
        if form is not None:
            return FoundSecret(*form)
        for folder in self.folders:
            if re.search(re.escape(folder) + r"(?![\w-])", text):
                return FoundSecret("a folder of this machine", folder)
        return None


def check_clean(texts: Mapping[str, Any], token: str | None = None) -> None:
    """Raise PublishError where a text (or JSON value) of the card holds what must not be in it."""
    if token:
        remember(token)
    sought = Sought.now()
    for name, value in texts.items():
        for text in _texts_in(value):
            found = sought.found(text) or _of_a_place(text)
            if found is not None:
                raise PublishError(
                    f"{name} of the card would hold {found.kind} ({found.shown}); nothing was published: give models "
                    "and data by Hub ids or folders (whose last name is published), and leave tokens to the environment"
                )


def _of_a_place(text: str) -> FoundSecret | None:
    """What tells of somebody's machine or network: any path, any address that the world does not know."""
    path = PATHS.search(text)
    if path is not None:
        return FoundSecret("a local path", path.group())
    web = next((url for url in WEB.findall(text) if is_internal(url)), None)
    return FoundSecret("an address of a private network", web) if web is not None else None


def check_files(files: Mapping[str, Path], *, allow: bool = False) -> None:
    """Raise PublishError where a file that is to be published holds a secret; names file, row, column and kind.

    Args:
        files: path in the repository -> local file. Of parquet every column that holds texts or bytes is read, in
            whatever lists and structs, and the schema's metadata; of others the lines.
        allow: let through what has the form of a secret, and folders of this machine, but no token of one's own.

    RE2 asks each text all questions at once: a million rows of 540 MB took 2.8 s of one core, 0.9 of them reading.
    """
    sought = Sought.now(allow=allow)
    for name, path in files.items() if sought.pattern else ():
        in_file = _in_parquet if path.suffix == ".parquet" else _in_lines
        for where, found in in_file(path, sought):
            way_out = ", or say that it belongs there: allow_secrets=True (--allow-secrets)" if found.allowed else ""
            raise PublishError(
                f"{name}, {where}, holds {found.kind} ({found.shown}); nothing was published: take it out{way_out}"
            )


def _in_parquet(path: Path, sought: Sought) -> Iterator[tuple[str, FoundSecret]]:
    """(where, what) of all that is found, in the order of the rows."""
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        for key, value in (schema.metadata or {}).items():
            if key != b"ARROW:schema" and (found := sought.found(value.decode("utf-8", "replace"))):
                yield f"the metadata {key.decode('utf-8', 'replace')!r}", found
        names = [field.name for field in schema if _holds_texts(field.type)]
        row = 0
        for batch in file.iter_batches(ROWS, columns=names) if names else ():
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                if _may_hold(column, sought.pattern):
                    yield from _in_column(name, column, row, sought)
            row += len(batch)


def _in_column(name: str, column: pa.Array, first: int, sought: Sought) -> Iterator[tuple[str, FoundSecret]]:
    for row, value in enumerate(column.to_pylist(), first):
        for text in _texts_in(value):
            if found := sought.found(text):
                yield f"row {row} (counted from 0), column {name!r}", found


def _in_lines(path: Path, sought: Sought) -> Iterator[tuple[str, FoundSecret]]:
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            if found := sought.found(line):
                yield f"line {number}", found


def _holds_texts(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _holds_texts(kind.value_type)
    return _is_text(kind) or _is_binary(kind) or any(_holds_texts(kind.field(i).type) for i in range(kind.num_fields))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _may_hold(values: pa.Array, pattern: str) -> bool:
    """Whether a text in it matches, at any depth."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        return _may_hold(values.dictionary, pattern)
    if _is_text(kind) or _is_binary(kind):
        if pa.types.is_string_view(kind):
            values = values.cast(pa.large_string())
        return bool(pc.any(pc.match_substring_regex(values, pattern)).as_py())
    if pa.types.is_struct(kind):
        return any(_may_hold(part, pattern) for part in values.flatten() if _holds_texts(part.type))
    if pa.types.is_map(kind):
        return any(_may_hold(part, pattern) for part in (values.keys, values.items) if _holds_texts(part.type))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _holds_texts(kind) and _may_hold(values.flatten(), pattern)
    return _holds_texts(kind)  # of a kind that is not known here: each value is looked at


def _texts_in(value: Any) -> Iterator[str]:
    """All texts in a value as `json` or Arrow give it, names of entries too, and bytes as texts."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield value.decode("utf-8", "replace")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts_in(key)
            yield from _texts_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts_in(inner)


def _folders() -> list[str]:
    """Those that tell whose machine it is; also as JSON writes them. One like ``/root`` stands in any manual."""
    here = (str(Path.home()), os.getcwd(), str(store.root()))
    long = [folder for folder in here if len(PurePath(folder).parts) > 2]
    return list(dict.fromkeys([*long, *(json.dumps(folder)[1:-1] for folder in long)]))
