"""Recipes without the paths of the machine they ran on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

from hfneg.base.addresses import WEB, is_internal
from hfneg.models.weights import is_folder, looks_like_path

LOCAL = "local:"
"""Stands before the name of a model that lay in a folder: no Hub id, so that nobody loads another one by it."""

SERVER = "server"
_QUOTED = re.compile(r"(['\"])([^'\"\n]+)\1")


def without_paths(text: str, models: Iterable[Mapping[str, Any]] = ()) -> str:
    """Recipe text in which every path of a model is ``local:NAME``; the digests in `models` say which it was.

    The address of a server that only a private network knows is ``local:server``, the next one ``local:server-2``.
    """
    servers: dict[str, int] = {}
    local = {model.get("model") for model in models if model.get("local")}

    def shortened(match: re.Match[str]) -> str:
        quote, value = match.groups()
        name = PurePath(value.replace("\\", "/").rstrip("/")).name
        web = WEB.match(value) is not None
        if web and is_internal(value):
            at = servers.setdefault(value, len(servers) + 1)
            return f"{quote}{LOCAL}{SERVER}{f'-{at}' if at > 1 else ''}{quote}"
        path = not web and ("\\" in value or looks_like_path(value) or is_folder(value) or name in local)
        return f"{quote}{LOCAL}{name}{quote}" if path else match.group()

    return _QUOTED.sub(shortened, text)
