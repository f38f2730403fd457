"""`publish`: a mined folder becomes a round of a dataset on the Hub, whole or not at all."""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hfneg import mined_folder, store
from hfneg.anchors import Anchors
from hfneg.errors import AccessError, InputError, OutputExistsError, SettingError
from hfneg.mined_ledger import MinedLedger
from hfneg.publishing.assembling import Assembly, Plan
from hfneg.publishing.auditing import audited
from hfneg.publishing.committing import Published, Push
from hfneg.publishing.hub import HubRepository
from hfneg.publishing.layout import check_formats, round_name
from hfneg.reopening import reopen_anchors
from hfneg.step import is_whole

log = logging.getLogger(__name__)


@store.disk_full_is_said()
def publish(
    folder: str | Path,
    repo: str,
    *,
    round: int | None = None,
    private: bool = False,
    revision: str | None = None,
    tag: str | None = None,
    formats: Sequence[str] = (),
    license: str | None = None,
    corpus: Any = None,
    audit: bool = True,
    allow_secrets: bool = False,
    token: str | None = None,
    dry_run: str | Path | None = None,
) -> Published:
    """Publish a mined folder as a round of a dataset on the Hub: data, card and ledger in one commit, and a tag.

    ::

        hfneg.publish("mined/", "org/name")

    What is there already stays: other rounds, other people's configs, and whatever the README says outside of the
    marks ``hfneg:begin`` and ``hfneg:end``. A folder whose content is published already makes no new commit.

    Args:
        folder: what `hfneg.mine` wrote; it is only read.
        repo: "org/name"; made where it does not exist.
        round: its number. None: that of this very content where it is published, else one after the newest.
        private: whether a new repository is private; refused where it is there and public.
        revision: the branch to publish on; None: main.
        tag: of the commit; None: "round-001" for round 1.
        formats: text formats to publish besides ids and scores, by their names in `hfneg.formats`, or "rows" for
            the mined rows with all their columns. About how large each becomes is logged before it is written.
        license: as on the Hub ("cc-by-4.0"). None: that of the README, or of the datasets it was mined from.
        corpus: what was given to `mine`, needed only where the store no longer has it.
        audit: run `hfneg.audit` over the rows and say in the card what it found.
        allow_secrets: the texts may hold what looks like a key, a token, a password or a folder of this machine. Your
            own tokens are refused even then, and the card never shows any.
        token: None takes the one that is logged in.
        dry_run: a new folder to write the repository into, as for a first push; nothing is sent.

    Raises:
        InputError and its kinds: no mined folder, settings that make no sense; nothing was sent.
        AccessError: no token, a wrong one, or no rights.
        PublishError: the round or the tag is there with other content; a repository of another kind; a licence that
            has to be said; a secret in data or card; the Hub failed. Nothing is half published then: the same call
            goes on where it was.
    """
    formats = check_formats(formats)
    _check_settings(round, tag)
    summary = mined_folder.open_summary(folder)
    mined_folder.refuse_damaged(Path(folder))
    hub = HubRepository(repo, revision, token)
    if dry_run is None and hub.token is None:
        raise AccessError(f"there is no token to write to {repo} with; log in with `hf auth login`, or set HF_TOKEN")
    if dry_run is None:
        hub.check_token()
    path = Path(folder)
    anchors = _anchors(path, corpus)
    if audit:
        summary = {**summary, "audit": audited(path, summary)}
    assembly = Assembly(path, summary, anchors, hub, formats, license, mined_folder.content_digest(path), allow_secrets)
    if dry_run is not None:
        return _dry(assembly, round or 1, tag, _new_folder(dry_run))
    return Push(assembly, round, private, tag).work()


def _check_settings(number: int | None, tag: str | None) -> None:
    if number is not None and not is_whole(number, 1):
        raise SettingError(f"round={number!r}: expected a whole number from 1 up, or None for the next")
    if tag is not None and not re.fullmatch(r"[A-Za-z0-9][\w.-]*", tag):
        raise SettingError(f"tag={tag!r}: expected a name like 'round-001' or 'v1.0'")


def _anchors(folder: Path, corpus: Any) -> Anchors | None:
    try:
        return reopen_anchors(MinedLedger(folder), corpus)
    except InputError:
        if corpus is not None:
            raise
        log.warning(
            "%s: the store no longer has its corpus; positives get ids derived from their texts, and the ledger's row "
            "numbers go without document ids (pass corpus= for both)", folder,
        )  # fmt: skip
        return None


def _new_folder(path: str | Path) -> Path:
    folder = Path(path)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputExistsError(f"{folder} is there already; give a new or empty folder for the dry run")
    return folder


def _dry(assembly: Assembly, number: int, tag: str | None, folder: Path) -> Published:
    """The repository as a first push would make it, in a folder."""
    plan = Plan(number, tag or round_name(number), False, tuple(assembly.formats), tuple(assembly.formats), None)
    with store.scratch_folder() as work:
        staged = assembly.stage(None, plan, work / "staged")
        files = assembly.with_card(None, plan, staged, ask=False)
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
        try:
            for name, content in files.items():
                (partial / name).parent.mkdir(parents=True, exist_ok=True)
                if isinstance(content, Path):
                    shutil.copyfile(content, partial / name)
                else:
                    (partial / name).write_bytes(content)
            if folder.exists():
                folder.rmdir()
            os.replace(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return Published(assembly.hub.name, number, plan.tag, None, True, tuple(staged.configs), folder)
