"""What must never enter a published card: tokens, user names, local paths."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hfneg import store
from hfneg.errors import PublishError

TOKENS = re.compile(r"\bhf_[A-Za-z0-9]{16,}|\bapi_org_[A-Za-z0-9]{16,}|://[^/\s:@]+:[^/\s@]+@")
PATHS = re.compile(
    r"(?<![\w.:/])(?:~|/(?:home|Users|root|tmp|var|mnt|media|opt|srv|private|scratch|work|workspace|data))/[^\s'\"`|)<>]+"
    r"|\b[A-Za-z]:\\[^\s'\"`|]+|\bfile://[^\s'\"`|)]+"
)


def is_clean(text: str, token: str | None) -> bool:
    """Whether a text from the data holds neither a token nor a path of this machine."""
    return not TOKENS.search(text) and not any(secret in text for secret in _here(token))


def check_clean(texts: Mapping[str, Any], token: str | None) -> None:
    """Raise PublishError where a text (or JSON value) of the card holds what must not be in it."""
    for name, value in texts.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for kind, found in (("a token or password", TOKENS.search(text)), ("a local path", PATHS.search(text))):
            if found:
                shown = f"{found.group()[:6]}..." if kind.startswith("a token") else found.group()
                raise PublishError(_refused(name, kind, shown))
        for secret in _here(token):
            if secret in text:
                raise PublishError(_refused(name, "the token or a path of this machine", f"{secret[:4]}..."))


def _refused(name: str, kind: str, shown: str) -> str:
    return (
        f"{name} of the card would hold {kind} ({shown}); nothing was published: give models and data by Hub ids or "
        "folders (whose last name is published), and leave tokens to the environment"
    )


def _here(token: str | None) -> list[str]:
    """The token, and the folders of this machine that tell whose it is."""
    folders = {str(Path.home()), os.getcwd(), str(store.root())}
    return [text for text in (*folders, token) if text and len(text) > 5]
