"""Whether configs of ours and of others both open in one repository, as `datasets` finds files and builders."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from hfneg.errors import PublishError
from hfneg.hub.repository import Head

OURS = ".parquet"
STANDALONE = ".huggingface.yaml"
"""What `datasets` reads after the README, and what counts more."""
NO_DATA = (".md", ".gitattributes", ".gitignore", ".yaml", "")


def refuse_script(repo: str, files: Sequence[str]) -> None:
    """Raise PublishError where a loading script stands before all data."""
    script = repo.rpartition("/")[2] + ".py"
    if script in files:
        raise PublishError(
            f"{repo} holds a loading script ({script}): `datasets` opens nothing beside one, so a round published "
            "there could not be loaded; remove the script first, or publish into another repository"
        )


def refuse_standalone(head: Head) -> None:
    """Raise PublishError where configs stand in a file that counts more than the README, where ours will be."""
    if re.search(r"\b(configs|dataset_info)\b", head.read(STANDALONE) or ""):
        raise PublishError(
            f"{head.repo} has configs in {STANDALONE}, which `datasets` takes instead of those of the README, so a "
            "round published there could not be loaded; move them into the README first, or publish into another "
            "repository"
        )


def refuse_other_kind(repo: str, theirs: Sequence[Mapping[str, Any]], files: Sequence[str]) -> None:
    """Raise PublishError where the configs of others are of files that are no parquet.

    `datasets` reads all configs of a card with the builder that the files of the first ask for. Theirs stand first.
    """
    for first in theirs[:1]:
        named = "data_files" in first  # else it looks at the whole repository
        found = [path for path in files if (takes(first, path) if named else True)]
        kinds = Counter(suffix for path in found if (suffix := PurePosixPath(path).suffix.lower()) not in NO_DATA)
        kind = kinds.most_common(1)[0][0] if kinds else OURS
        if kind != OURS:
            raise PublishError(
                f"{repo} has a config {first.get('config_name')!r} of {kind} files, and `datasets` reads all configs "
                "of a card as it reads the first: ours, which are parquet, could not be loaded beside it; publish into "
                "another repository, or turn theirs into parquet first"
            )


def refuse_caught(repo: str, theirs: Sequence[Mapping[str, Any]], new: Iterable[str]) -> None:
    """Raise PublishError where a pattern of somebody else's config would take in a new file of ours."""
    paths = sorted(new)
    for entry in theirs:
        caught = next((path for path in paths if takes(entry, path)), None)
        if caught is not None:
            raise PublishError(
                f"{repo} has a config {entry.get('config_name')!r} whose patterns would take in files of this round "
                f"({caught}, for one), so that it would no longer open what it does; have it name its own files alone, "
                "or publish into another repository"
            )


def takes(entry: Mapping[str, Any], path: str) -> bool:
    """Whether a config of a card has this file of the repository among its data."""
    folder = str(entry.get("data_dir") or "")
    patterns = list(paths_of(entry.get("data_files"))) or ["**"]
    wanted = (posixpath.normpath(posixpath.join(folder, pattern)) for pattern in patterns)
    return any(re.fullmatch(_as_regex(pattern), path) for pattern in wanted)


_GLOB = re.compile(r"\*\*/|\*\*|\*|\?|\[!?[^\]]+\]|.", re.DOTALL)
_MEANT = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def _as_regex(pattern: str) -> str:
    """A pattern for files as fsspec, which `datasets` asks, understands it."""

    def meant(match: re.Match[str]) -> str:
        part = match.group()
        if len(part) > 2 and part[0] == "[":
            return part.replace("[!", "[^", 1).replace("\\", r"\\")
        return _MEANT.get(part) or re.escape(part)

    return _GLOB.sub(meant, pattern)


def paths_of(data_files: Any) -> Iterator[str]:
    """Every path or pattern that the files of a config name."""
    if isinstance(data_files, str):
        yield data_files
    elif isinstance(data_files, Mapping):
        yield from paths_of(data_files["path"] if "path" in data_files else list(data_files.values()))
    elif isinstance(data_files, list):
        for entry in data_files:
            yield from paths_of(entry)
