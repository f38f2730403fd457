"""What a model is: where it lies, how it compares, and the digest of what it is made of.

A name says nothing about weights; everything that hfneg stores of a model's output is therefore keyed by
a digest, of a folder, of a commit on the Hub, or of a model in memory: one changed weight gives another.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hfneg.base import store
from hfneg.base.files import json_lines
from hfneg.errors import SettingError
from hfneg.models.asking import has_both

FORMAT = 1

_LEFT_OUT = re.compile(
    r"(^|/)\.|\.md$|(^|/)readme|^(onnx|openvino|runs|logs|eval|checkpoint-\d+)/|"
    r"(^|/)(optimizer\.(pt|bin)|scheduler\.pt|scaler\.pt|rng_state.*\.pth|trainer_state\.json|training_args\.bin)$",
    re.IGNORECASE,
)
"""Files of a model folder that its output does not depend on: cards, other backends, training state."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
"""Variables that keep the client of the Hub off the network."""


def checked_model(model: Any, revision: str | None) -> Any:
    if isinstance(model, str | os.PathLike):
        name = os.fspath(model)
        if not is_name(name):
            raise SettingError(f"model {name!r} is no name; give a folder made by save_pretrained or a Hub id")
        if is_folder(name):
            check_similarity(_folder_similarity(folder_of(name)), name)
        elif looks_like_path(name):
            raise SettingError(
                f"model {name!r}: there is no such folder; give a folder made by save_pretrained or a Hub id"
            )
        return name
    if revision is not None:
        raise SettingError(
            f"revision={revision!r} says which commit of a Hub id; this model is an object: leave it out"
        )
    encodes = callable(getattr(model, "encode", None)) or has_both(model)
    named = isinstance(getattr(model, "id", None), str) and encodes
    if not named and not _is_sentence_transformer(model):
        raise SettingError(
            f"model is a {type(model).__name__}; it must be a Hub id, a folder, a SentenceTransformer, or an object "
            "with an attribute id (a string) and a method encode(list of texts) -> [n, d]"
        )
    return model


def _is_sentence_transformer(model: Any) -> bool:
    library = sys.modules.get("sentence_transformers")  # not loaded: then it cannot be one
    return library is not None and isinstance(model, library.SentenceTransformer)


def is_torch_model(model: Any) -> bool:
    """A torch module that does not count by an id of its own."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(model, torch.nn.Module) and not isinstance(getattr(model, "id", None), str)


def folder_of(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError:  # ~somebody who is not known here
        return Path(name)


def is_name(name: str) -> bool:
    """Whether it can be the name of anything: not empty, no NUL, no lone surrogate."""
    return bool(name) and "\0" not in name and not any("\ud800" <= mark <= "\udfff" for mark in name)


def is_folder(name: str) -> bool:
    """Whether it names a folder; no name is none, though it is that of the folder one is in to `Path`."""
    try:
        return bool(name) and folder_of(name).is_dir()
    except (OSError, ValueError):  # too long, or a NUL in it
        return False


def looks_like_path(name: str) -> bool:
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or (os.sep != "/" and os.sep in name)


def name_of(model: Any) -> str:
    return model if isinstance(model, str) else str(getattr(model, "id", type(model).__name__))


def _folder_similarity(folder: Path) -> str | None:
    config = folder / "config_sentence_transformers.json"
    content: Any = json_lines.whole(config) if config.is_file() else {}
    return content.get("similarity_fn_name") if isinstance(content, dict) else None


def similarity_of(model: Any) -> str:
    return str(getattr(model, "similarity_fn_name", None) or "dot")


def check_similarity(similarity: str | None, name: str) -> None:
    if similarity not in (None, "cosine", "dot"):
        raise SettingError(
            f"model {name!r} compares vectors by {similarity!r}; Dense searches by dot product: set "
            "model.similarity_fn_name to 'cosine' or 'dot', save the model and pass that"
        )


def folder_digest(folder: str | Path) -> str:
    """32 hex digits over names and content of the files of a model folder; loads no model.

    A file is read once per process as long as its size, times and inode stay as they are.
    """
    try:
        files = sorted(_files(Path(folder), ""))
    except OSError as error:
        raise SettingError(f"the model folder {str(folder)!r} cannot be read: {error.strerror or error}") from None
    if not files:
        raise SettingError(f"the model folder {str(folder)!r} holds no files; give a folder made by save_pretrained")
    stamps = ((name, str(path), path.stat()) for name, path in files)
    return _files_digest(
        tuple((name, path, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for name, path, s in stamps)
    )


def _files(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    for entry in os.scandir(folder):
        name = prefix + entry.name
        if entry.is_dir():
            if not _LEFT_OUT.search(name + "/"):
                yield from _files(Path(entry.path), name + "/")
        elif not _LEFT_OUT.search(name):
            yield name, Path(entry.path)


@functools.lru_cache(maxsize=64)
def _files_digest(stamps: tuple[tuple[str, str, int, int, int, int], ...]) -> str:
    return store.digest_of(FORMAT, "folder", [(name, _file_digest(path)) for name, path, *_ in stamps])


def _file_digest(path: str) -> str:
    state = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as file:
        while chunk := file.read(1 << 24):
            state.update(chunk)
    return state.hexdigest()


@functools.lru_cache(maxsize=64)
def hub_commit(repository: str, revision: str | None = None) -> str:
    """The 40-hex commit of a model on the Hub (from the cache where offline); the same all process long.

    Raises SettingError where the repository cannot be reached or does not exist.
    """
    if revision is not None and _COMMIT.fullmatch(revision):
        return revision
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    reason: Exception | None = None
    for file in ("modules.json", "config.json"):
        lost = isinstance(reason, LocalEntryNotFoundError)  # the Hub was not reached: not waited for once more
        try:
            path = hf_hub_download(repository, file, revision=revision, local_files_only=lost)
        except EntryNotFoundError as error:  # no such file there; offline: not in the cache
            reason = reason or error
        except (OSError, ValueError) as error:
            reason = error
            break
        else:
            commit = Path(path).parent.name
            if _COMMIT.fullmatch(commit):
                return commit
    name = f"{repository!r} at revision {revision!r}" if revision else repr(repository)
    offline = next((var for var in OFFLINE if os.environ.get(var, "").upper() in ("1", "ON", "YES", "TRUE")), None)
    if offline is not None:
        raise SettingError(
            f"model {name} is neither a folder here nor in the cache of the Hub, and {offline} is set, so that the Hub "
            f"is not asked: unset {offline}, download it before, or give a folder"
        )
    raise SettingError(
        f"model {name} is neither a folder here nor a model that the Hub gave ({_first_line(reason)}); check the "
        "spelling, or download it and give the folder"
    )


def require_models(*steps: Any) -> None:
    """Raises SettingError where a model of a step lies on the Hub and is not to be had; before any work."""
    for step in steps:
        model = None if getattr(step, "remote", False) else getattr(step, "model", None)
        if isinstance(model, str) and not is_folder(model) and not looks_like_path(model):
            hub_commit(model, getattr(step, "revision", None))


def saved_json(name: str, revision: str | None, file: str) -> dict[str, Any]:
    """A JSON object of a model's folder or of its repository on the Hub, without loading the model; {} if absent."""
    content = saved_content(name, revision, file)
    return content if isinstance(content, dict) else {}


def saved_content(name: str, revision: str | None, file: str) -> Any:
    """What a JSON file of a model holds; {} where there is none."""
    path: str | Path = folder_of(name) / file
    if not is_folder(name):
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        try:
            path = hf_hub_download(name, file, revision=hub_commit(name, revision))
        except EntryNotFoundError:  # not there; offline: not in the cache
            return {}
    if not Path(path).is_file():
        return {}
    return json_lines.whole(Path(path))


@contextlib.contextmanager
def silent_loading() -> Iterator[None]:
    """No bar for the loading of weights."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _first_line(error: Exception | None) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0].strip()}" if error is not None and lines else "no commit"
