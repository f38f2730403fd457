"""`publish`: a mined folder becomes a round of a dataset on the Hub, whole or not at all."""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hfneg.base import store
from hfneg.base.settings import is_whole
from hfneg.data.anchors import Anchors
from hfneg.errors import AccessError, InputError, OutputError, OutputExistsError, SettingError
from hfneg.hub.assembly import Assembly, PushPlan, State, ids_of
from hfneg.hub.licences import check_licence
from hfneg.hub.push import Published, Push
from hfneg.hub.repository import HubRepository
from hfneg.hub.round_files import check_formats, round_name
from hfneg.hub.terms import not_asked
from hfneg.runs.folder import mined as mined_folder
from hfneg.runs.folder.ledger_files import MinedLedger
from hfneg.runs.folder.reopen import reopen_anchors

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
    language: str | Sequence[str] = (),
    corpus: Any = None,
    audit: bool = True,
    terms_ok: bool = False,
    allow_secrets: bool = False,
    token: str | None = None,
    dry_run: str | Path | None = None,
) -> Published:
    """Publish a mined folder as a round of a dataset on the Hub: data, card and ledger in one commit, and a tag.

    ::

        hfneg.publish("mined/", "org/name")

    What is there already stays: other rounds, other people's configs, and whatever the README says outside of the
    marks ``hfneg:begin`` and ``hfneg:end``. A folder whose content is published already makes no new commit, unless
    something else has changed: a rate from `calibrate`, the licence, one more format. Then data and tag stay as they
    are, and the new commit gets a tag of its own (``round-001.1``).

    The datasets on the Hub that it was mined from are looked up each time, and their state and licences compared with
    the repository's.

    Args:
        folder: what `hfneg.mine` wrote; it is only read.
        repo: "org/name"; made where it does not exist.
        round: its number. None: that of this very content where it is published, else one after the newest.
        private: whether a new repository is private; refused where it is there and public.
        revision: the branch to publish on; None: main.
        tag: of the commit; None: "round-001" for round 1.
        formats: text formats to publish besides ids and scores, by their names in `hfneg.formats`, or "rows" for
            the mined rows with all their columns. About how large each becomes is logged before it is written.
        license: as on the Hub ("cc-by-4.0"). None: that of the README, or of the datasets it was mined from, where they
            agree.
        language: of the texts, as on the Hub ("en"), one or several. Left out: what the README says, else what the
            cards say of the datasets that it was mined from.
        corpus: what was given to `mine`, needed only where the store no longer has it.
        audit: run `hfneg.audit` over the rows and say in the card what it found.
        terms_ok: publish although a source is private and the repository public, cannot be seen, is gated, or has a
            licence that forbids what the repository's allows. The card says what was decided.
        allow_secrets: the texts may hold what looks like a key, a token, a password or a folder of this machine. Your
            own tokens are refused even then, and the card never shows any.
        token: None takes the one that is logged in.
        dry_run: a new folder to write the repository into, as for a first push; nothing is sent, nor asked of the Hub.

    Raises:
        InputError and its kinds: no mined folder, settings that make no sense; nothing was sent.
        AccessError: no token, a wrong one, or no rights.
        PublishError: the round or the tag is there with other content; a repository of another kind, with a loading
            script, or with configs or files of others where ours would be; terms of sources, a licence that has to be
            said, a head that the Hub refuses; a secret in data or card; the Hub failed. A round is there whole or not
            at all; the message says what is there and what is missing, and the same call goes on from there.
    """
    formats = check_formats(formats)
    _check_settings(round, tag)
    check_licence(license)
    languages = _languages(language)
    summary = mined_folder.open_summary(folder)
    mined_folder.refuse_damaged(Path(folder))
    hub = HubRepository(repo, revision, token)
    if dry_run is None and hub.token is None:
        raise AccessError(f"there is no token to write to {repo} with; log in with `hf auth login`, or set HF_TOKEN")
    if dry_run is None:
        hub.check_token()
    path = Path(folder)
    target = None if dry_run is None else _new_folder(dry_run, path)
    anchors = _anchors(path, corpus)
    content = mined_folder.content_digest(path)
    assembly = Assembly(
        path, summary, anchors, hub, formats, license, content, audit, terms_ok, allow_secrets, languages
    )
    if target is not None:
        return _dry(assembly, round or 1, tag, target)
    return Push(assembly, round, private, tag).work()


def _check_settings(number: int | None, tag: str | None) -> None:
    if number is not None and not is_whole(number, 1):
        raise SettingError(f"round={number!r}: expected a whole number from 1 up, or None for the next")
    if tag is not None and not re.fullmatch(r"[A-Za-z0-9][\w.-]*", tag):
        raise SettingError(f"tag={tag!r}: expected a name like 'round-001' or 'v1.0'")


def _languages(given: Any) -> tuple[str, ...]:
    """Codes of languages. Raises SettingError for anything else."""
    codes = [given] if isinstance(given, str) else list(given)
    for code in codes:
        if not (isinstance(code, str) and re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*|code|multilingual", code)):
            raise SettingError(f"language={code!r}: expected a code such as 'en', 'de' or 'zh', as the Hub has them")
    return tuple(dict.fromkeys(codes))


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


def _new_folder(path: str | Path, mined: Path) -> Path:
    """Where a dry run is written; raises OutputError and its kinds where that is no place for it."""
    folder = Path(path).resolve()
    _refuse_full(folder)
    if folder.is_relative_to(mined.resolve()):
        raise OutputError(f"{folder} lies in the mined folder, which is only read; give a folder outside of it")
    above = next(parent for parent in folder.parents if parent.exists())
    if not above.is_dir():
        raise OutputError(f"cannot write {folder}: {above} is a file")
    return folder


def _refuse_full(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputExistsError(f"{folder} is there already; give a new or empty folder for the dry run")


def _dry(assembly: Assembly, number: int, tag: str | None, folder: Path) -> Published:
    """The repository as a first push would make it, in a folder."""
    state = State.of(None, assembly.hub.name)
    plan = PushPlan(number, tag or round_name(number), None, True, tuple(assembly.formats), (), None)
    with store.scratch_folder() as work:
        staged = assembly.stage(state, plan, work / "staged")
        decision = not_asked(ids_of(assembly.summary), assembly.license)
        files = assembly.with_card(state, plan, staged, decision)
        try:
            _write(files, folder)
        except OSError as error:
            raise OutputError(f"cannot write {folder} ({error.strerror or error})") from error
    return Published(assembly.hub.name, number, plan.tag, None, True, tuple(staged.configs), folder)


def _write(files: Mapping[str, Path | bytes], folder: Path) -> None:
    """The files below `folder`, which is new or empty: beside it first, then renamed into place."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as partial:
        made = Path(partial, "made")
        for name, content in files.items():
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                shutil.copyfile(content, made / name)
            else:
                (made / name).write_bytes(content)
        if not folder.exists():
            os.rename(made, folder)
            return
        _refuse_full(folder)  # once more: that took a while
        for part in made.iterdir():  # the folder itself stays: somebody may be in it
            os.rename(part, folder / part.name)
