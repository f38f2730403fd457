"""Under which licence a round is published: said, kept, or carried over from the datasets it was mined from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hfneg.errors import PublishError
from hfneg.publishing.hub import HubRepository


def licence_for(
    given: str | None, card: Mapping[str, Any], sources: Sequence[Mapping[str, Any]], hub: HubRepository | None
) -> str | None:
    """The licence, or None where nobody says one.

    Args:
        given: by the user; counts.
        card: the YAML of the README that is there; counts next.
        sources: the datasets that pairs and corpus came from; theirs is carried over where they agree.
        hub: where to ask; None: nobody is asked.

    Raises PublishError where a source is gated, or where the sources' licences differ, and none was given.
    """
    if given is not None or card.get("license"):
        return given or str(card["license"])
    if hub is None:
        return None
    found: dict[str, str] = {}
    for source in {source["id"]: source for source in sources}.values():
        licence, gated = hub.terms_of(source["id"])
        if gated:
            raise PublishError(
                f"{source['id']}, which this was mined from, is gated{f' and under {licence!r}' if licence else ''}; "
                "see whether its terms allow it, and say under which licence this is published: license=... (--license)"
            )
        if licence:
            found[source["id"]] = licence
    if len(set(found.values())) > 1:
        said = ", ".join(f"{name} under {licence!r}" for name, licence in found.items())
        raise PublishError(f"it was mined from {said}; say under which licence this is published: license=...")
    return next(iter(found.values()), None)
