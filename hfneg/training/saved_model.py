"""The model that a round's training left, saved in the round's folder: hfneg's to replace and to delete.

A list of its files, with sizes and digests, lies among them; a folder without it, or with other files in it, is
somebody else's, such as the output folder of their trainer, and is neither replaced nor deleted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hfneg.base import store
from hfneg.base.files import checksums, temporary
from hfneg.errors import OutputExistsError

LIST = ".hfneg.json"  # hidden: a model's digest leaves it out


def save(model: Any, final: Path) -> None:
    """Whole or not at all, in the place of the one before. Raises OutputExistsError, OSError."""
    refuse_foreign(final)
    partial = temporary.beside(final)
    try:
        with store.disk_full_is_said():
            model.save_pretrained(str(partial))
            checksums.write(partial / LIST, partial, sorted(path for path in partial.rglob("*") if path.is_file()))
            temporary.replace_folder(partial, final)
    finally:
        temporary.remove(partial)


def refuse_foreign(folder: Path) -> None:
    """Raise OutputExistsError where the folder holds anything that `save` has not written."""
    files = sorted(path for path in folder.rglob("*") if not path.is_dir()) if folder.is_dir() else []
    try:
        ours = {folder / LIST, *(folder / name for name in checksums.names(folder / LIST))}
    except FileNotFoundError:
        ours = set()
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise OutputExistsError(
            f"{folder / LIST} is damaged ({error}), so that nobody knows what in {folder} is hfneg's; rename the folder"
        ) from error
    if foreign := [path for path in files if path not in ours]:
        raise OutputExistsError(
            f"{foreign[0]} was not written by hfneg, which saves a round's model in {folder}; move it elsewhere, or "
            "save the model yourself and give round.finish its folder"
        )
