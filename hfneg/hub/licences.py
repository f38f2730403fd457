"""Licences by the names that the Hub knows them by, and whether one allows what another forbids."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from hfneg.errors import SettingError, near_miss

PERMISSIVE = """
afl-3.0 apache-2.0 artistic-2.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0
cc-by-4.0 cc0-1.0 cdla-permissive-1.0 cdla-permissive-2.0 ecl-2.0 etalab-2.0 isc lppl-1.3c mit ms-pl ncsa odc-by ofl-1.1
pddl postgresql unlicense wtfpl zlib
"""
SHARE_ALIKE = """
agpl-3.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 epl-1.0 epl-2.0
eupl-1.1 eupl-1.2 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 lgpl-lr mpl-2.0 odbl osl-3.0
"""
NON_COMMERCIAL = """
cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0
fair-noncommercial-research-license intel-research h-research
"""
NO_DERIVATIVES = "cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0"
OWN_TERMS = """
apple-amlr apple-ascl bigcode-openrail-m bigscience-bloom-rail-1.0 bigscience-openrail-m c-uda creativeml-openrail-m
deepfloyd-if-license gemma llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 open-mdw openrail openrail++
"""
"""Of models mostly: what is made with them may be used in some ways only, by terms that each has for itself."""
VAGUE = "cc other unknown"
"""Names that the Hub takes and that say nothing of what is allowed."""

_SETS = {
    name: frozenset(text.split())
    for name, text in (
        ("share-alike", SHARE_ALIKE),
        ("non-commercial", NON_COMMERCIAL),
        ("no-derivatives", NO_DERIVATIVES),
        ("own terms", OWN_TERMS),
    )
}
KNOWN = frozenset(" ".join([PERMISSIVE, VAGUE, *(" ".join(names) for names in _SETS.values())]).split())


def check_licence(name: Any) -> None:
    """Raise SettingError where the Hub has no licence of this name."""
    if name is None or (isinstance(name, str) and name in KNOWN):
        return
    usual = re.sub(r"[\s_]+", "-", str(name).strip().lower())
    usual = usual.removesuffix("-license").removesuffix("-licence")
    meant = usual if usual in KNOWN else _begun(usual)
    hint = f" Did you mean {meant!r}?" if meant else near_miss(usual, sorted(KNOWN))
    raise SettingError(
        f"license={name!r}: the Hub knows no licence of this name (it has cc-by-4.0, mit, other, ...).{hint} "
        "For one that has no name there say 'other', and license_name in the head of the README"
    )


def _begun(name: str) -> str | None:
    """The licence that has this for its beginning (``gplv3``, ``cc0``), the newest of the shortest."""
    begin = _letters(name)
    found = [known for known in KNOWN if begin and _letters(known).startswith(begin)]
    return max(found, key=lambda known: (-len(known), known), default=None)


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9+]|v(?=\d)", "", name)


def listed(value: Any) -> tuple[str, ...]:
    """The licences that a card's head names: one, a list of them, or none."""
    names = value if isinstance(value, list | tuple) else [value]
    return tuple(str(name) for name in names if name)


def in_words(names: Iterable[str], called: Any = None) -> str:
    """``'cc-by-4.0' and 'mit'``; one that is "other" with the name it has."""
    said = [f"'other' ({called})" if name == "other" and called else repr(name) for name in names]
    return " and ".join(said)


def forbidden(source: str, target: Sequence[str]) -> str | None:
    """What texts under `source` do not allow to a derived dataset under `target`; None where nothing is known.

    An estimate by families, no legal advice: commercial use, derived works, another licence for them.
    """
    if source in _SETS["no-derivatives"]:
        return "does not allow derived works to be shared"
    if source in target:
        return None
    if source in _SETS["non-commercial"] and not _SETS["non-commercial"].intersection(target):
        return "does not allow commercial use"
    if source in _SETS["share-alike"] and _line(source) not in map(_line, target):
        return "asks that what is derived has the same licence"
    if source in _SETS["own terms"]:
        return "has terms of its own"
    if source not in KNOWN or source in ("other", "cc"):
        return "has terms that hfneg does not know"
    return None


def _line(name: str) -> str:
    """The licence without its version: ``cc-by-sa``."""
    return re.sub(r"-[\d.]+$", "", name)
