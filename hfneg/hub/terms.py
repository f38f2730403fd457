"""Whether what a round was mined from may go where it is to go, and what was decided where that is in doubt."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from hfneg.errors import PublishError
from hfneg.hub.licences import forbidden, in_words, listed
from hfneg.hub.repository import GatingTerms, HubRepository

log = logging.getLogger(__name__)

KEYS = ("license", "license_name", "license_link")


@dataclass(frozen=True)
class Decision:
    """Under which licence a round is published, and what of its sources stands against that.

    Attributes:
        head: ``license`` and, with "other", its name and link, as in a card's head; empty where nobody says one.
        sources: what the Hub says of each; empty where it was not asked.
        accepted: in words, what the publisher was told of and accepted.
    """

    head: Mapping[str, Any]
    sources: Sequence[GatingTerms] = ()
    accepted: tuple[str, ...] = field(default=())

    def facts(self) -> dict[str, Any]:
        """For the card's YAML."""
        lists = ("licences", "languages")
        sources = [
            {**asdict(source), **{name: list(getattr(source, name)) for name in lists}} for source in self.sources
        ]
        return {"sources": sources, "accepted": list(self.accepted)}


def decide(
    hub: HubRepository,
    ids: Iterable[str],
    head: Mapping[str, Any],
    given: str | None,
    *,
    public: bool,
    accepted: bool,
    earlier: Iterable[str] = (),
) -> Decision:
    """Compare the sources with the repository.

    Args:
        ids: the datasets on the Hub that pairs and corpus came from.
        head: of the README that is there; its licence stays, unless another is `given`. Without either, that of the
            sources is carried over where they agree.
        public: whether everybody will see the round.
        accepted: the publisher knows of what would be refused.
        earlier: sources of rounds that are there already; they count where `given` is another licence than theirs.

    Raises PublishError: a source is private and the repository is public, cannot be seen, is gated, or has a licence
    that forbids what the repository's allows, and that was not accepted; licences that differ, and none was given.
    """
    own = list(dict.fromkeys(ids))
    changed = given is not None and listed(given) != listed(head.get("license"))
    others = [name for name in dict.fromkeys(earlier) if changed and name not in own]
    sources = [hub.terms_of(name) for name in [*own, *others]]
    licence = _licence(given, head, sources[: len(own)])
    doubts = [doubt for source in sources for doubt in _doubts(source, licence, public)]
    if doubts and not accepted:
        raise PublishError(
            f"{'; '.join(doubts)}. Nothing was published: see whether the terms allow it and, where they do, say so: "
            "terms_ok=True (--terms-ok); the card will say what was decided. Else publish into a private repository "
            "(private=True), or under another licence"
        )
    for source in sources:
        if source.seen and not source.licences and licence:
            log.warning("%s, which this was mined from, names no licence; the card says so", source.id)
    return Decision(licence, tuple(sources[: len(own)]), tuple(doubts))


def not_asked(ids: Iterable[str], given: str | None) -> Decision:
    """Where the Hub is not asked: the licence that was given, and what will be compared is logged."""
    names = ", ".join(dict.fromkeys(ids))
    if names:
        log.warning("the terms of %s are looked up when it is pushed, and compared with the repository's", names)
    return Decision(_licence(given, {}, []))


def _licence(given: str | None, head: Mapping[str, Any], sources: Sequence[GatingTerms]) -> dict[str, Any]:
    """The licence of the repository, as in a card's head."""
    there = {key: head[key] for key in KEYS if head.get(key)}
    if given is not None:
        return there if listed(given) == listed(head.get("license")) else {"license": given}
    if "license" in there:
        return there
    found = {source.id: source for source in sources if source.licences}
    said = {(source.licences, source.name, source.link) for source in found.values()}
    if len(said) > 1:
        each = ", ".join(f"{name} under {in_words(source.licences, source.name)}" for name, source in found.items())
        raise PublishError(
            f"it was mined from {each}; say under which licence this is published: license=... (--license)"
        )
    for licences, name, link in said:
        carried = {"license": licences[0] if len(licences) == 1 else list(licences), "license_name": name}
        return {key: value for key, value in {**carried, "license_link": link}.items() if value}
    return {}


def _doubts(source: GatingTerms, licence: Mapping[str, Any], public: bool) -> list[str]:
    """What stands against publishing what came from this source."""
    what = f"{source.id}, which this was mined from,"
    if not source.seen:
        unseen = f"{what} cannot be seen with this token (it is private, or gone), so its terms are not known"
        if public:
            return [unseen]
        log.warning("%s; the card says so", unseen)
        return []
    found = []
    if source.private and public:
        found.append(f"{what} is private, and this repository is public")
    if source.gated:
        found.append(f"{what} is gated: who wants its texts has to agree to its terms")
    target = listed(licence.get("license"))
    same = "other" in source.licences and source.name == licence.get("license_name")
    for name in source.licences if target else ():
        reason = forbidden(name, target)
        if reason is not None and (name != "other" or not same or "other" not in target):
            said = in_words([name], source.name)
            found.append(f"{what} is under {said}, which {reason}; this would be under {in_words(target)}")
    return found
