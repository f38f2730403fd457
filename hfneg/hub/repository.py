"""One dataset repository on the Hub: its head, its files, a commit on top, a tag; and what can go wrong in words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from json import JSONDecodeError
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfneg.base.credentials import usable_token
from hfneg.base.scrubbing import scrubbed
from hfneg.errors import AccessError, HfnegError, PublishError, SettingError
from hfneg.hub.licences import listed

if TYPE_CHECKING:
    from huggingface_hub import HfApi

KIND = "dataset"
MAIN = "main"
PATIENCE = 300.0
"""Seconds that the Hub may be silent; the clients themselves would wait for ever."""


class ConflictError(PublishError):
    """Somebody else was first (409, 412): read the head again."""


class PassingError(PublishError):
    """A lost connection, a busy or failing server: another try may do."""


@dataclass(frozen=True)
class GatingTerms:
    """What the Hub says of a dataset that texts came from.

    Attributes:
        seen: whether it is there for this token; else nothing below is known.
        licences: by the names of the Hub; several where the card lists several.
        name, link: of a licence that is "other".
        languages: as its card says.
    """

    id: str
    seen: bool = True
    private: bool = False
    gated: bool = False
    licences: tuple[str, ...] = ()
    name: str | None = None
    link: str | None = None
    languages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Head:
    """The state of a branch: commit, files, tags (name -> commit)."""

    repo: str
    commit: str
    private: bool
    files: tuple[str, ...]
    tags: Mapping[str, str]
    hub: HubRepository = field(repr=False)

    def fetch(self, path: str, commit: str | None = None) -> Path:
        """A local copy of one file."""
        from huggingface_hub import hf_hub_download

        with errors(self.repo):
            where = hf_hub_download(
                self.repo, path, repo_type=KIND, revision=commit or self.commit, token=self.hub.token
            )
        return Path(where)

    def read(self, path: str, commit: str | None = None) -> str | None:
        """The text of a file; None where there is none."""
        from huggingface_hub.errors import EntryNotFoundError

        if commit is None and path not in self.files:
            return None
        try:
            return self.fetch(path, commit).read_bytes().decode("utf-8")  # line ends stay as they are
        except PublishError as error:
            if isinstance(error.__cause__, EntryNotFoundError):
                return None
            raise
        except UnicodeDecodeError:
            raise PublishError(f"{path} of {self.repo} is no UTF-8 text; mend it first") from None


class HubRepository:
    """`name` is ``org/name``; `branch` also a tag or commit where nothing is written."""

    def __init__(self, name: str, branch: str | None, token: str | None) -> None:
        from huggingface_hub import HfApi, get_token
        from huggingface_hub.utils import HFValidationError, validate_repo_id

        try:
            validate_repo_id(name)
            right = name.count("/") == 1
        except HFValidationError:
            right = False
        if not right:
            raise SettingError(f"repo={name!r}: expected the id of a dataset on the Hub, like 'org/name'")
        self.name, self.branch = name, branch or MAIN
        self.token = usable_token(token, "token=") or usable_token(get_token(), "HF_TOKEN, or the stored login")
        self.api: HfApi = HfApi(token=self.token)

    def at(self, commit: str) -> Head | None:
        """The state at a commit of it."""
        return HubRepository(self.name, commit, self.token).head()

    def head(self) -> Head | None:
        """Where the branch is now; None where repository or branch do not exist."""
        from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

        with errors(self.name):
            try:
                info = self.api.repo_info(self.name, repo_type=KIND, revision=self.branch, timeout=PATIENCE)
            except GatedRepoError:
                raise
            except (RepositoryNotFoundError, RevisionNotFoundError) as error:
                if _status(error) == 401 and self.token is not None:
                    raise
                return None
            refs = self.api.list_repo_refs(self.name, repo_type=KIND)
            files = tuple(sibling.rfilename for sibling in info.siblings or ())
            tags = {ref.name: ref.target_commit for ref in refs.tags}
        return Head(self.name, info.sha, bool(info.private), files, tags, self)

    def check_token(self) -> None:
        """Raise AccessError where the Hub says at once that the token is wrong or may only read.

        Whether it may write to this namespace is known only when it is tried, and a lost connection here costs nothing.
        """
        try:
            with errors(self.name):
                who = self.api.whoami()
                access = (who.get("auth") or {}).get("accessToken") or {}
        except AccessError:
            raise
        except PublishError:
            return
        if access.get("role") == "read":
            raise AccessError(
                f"the token of {who.get('name')} may only read; {self.name} needs one with write rights: make one in "
                "the settings of the Hub, then `hf auth login`"
            )

    def refuse_other_kinds(self) -> None:
        """Raise PublishError where the name is that of a model or a Space."""
        from huggingface_hub.errors import HfHubHTTPError

        for kind in ("model", "space"):
            with errors(self.name):
                try:
                    self.api.repo_info(self.name, repo_type=kind, timeout=PATIENCE)
                except HfHubHTTPError:  # not there, or not to be seen
                    continue
            raise PublishError(
                f"{self.name} is a {kind} on the Hub, not a dataset; give the id of a dataset, new or there already"
            )

    def terms_of(self, source: str) -> GatingTerms:
        """What another dataset's card and state say now."""
        from huggingface_hub.errors import HfHubHTTPError

        try:
            with errors(source):
                info = self.api.repo_info(source, repo_type=KIND, timeout=PATIENCE)
        except PublishError as error:
            if isinstance(error.__cause__, HfHubHTTPError) and _status(error.__cause__) in (401, 403, 404):
                return GatingTerms(source, seen=False)
            raise
        card: Mapping[str, Any] = info.card_data.to_dict() if info.card_data is not None else {}
        named = [tag.removeprefix("license:") for tag in info.tags or () if tag.startswith("license:")]
        known = tuple(name for name in listed(card.get("license") or named) if name != "unknown")
        called, link = (str(card[key]) if card.get(key) else None for key in ("license_name", "license_link"))
        spoken = card.get("language") or ()
        languages = tuple(str(code) for code in ([spoken] if isinstance(spoken, str) else spoken))
        return GatingTerms(source, True, bool(info.private), bool(info.gated), known, called, link, languages)

    def validate(self, readme: str) -> None:
        """Raise PublishError where the Hub would refuse this README; no repository is needed for that."""
        from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

        with errors(self.name):
            answer = get_session().post(
                f"{self.api.endpoint}/api/validate-yaml",
                json={"content": readme, "repoType": KIND},
                headers=build_hf_headers(token=self.token),
            )
            if answer.status_code == 400:
                raise ValueError("; ".join(str(error.get("message")) for error in answer.json().get("errors", [])))
            hf_raise_for_status(answer)

    def create(self, private: bool) -> None:
        """The repository and the branch, where they do not exist."""
        with errors(self.name):
            self.api.create_repo(self.name, repo_type=KIND, private=private or None, exist_ok=True)
            if self.branch != MAIN:
                self.api.create_branch(self.name, branch=self.branch, repo_type=KIND, exist_ok=True)

    def commit(self, files: Mapping[str, Path | bytes], parent: str, title: str, description: str) -> str:
        """All files in one commit on `parent`, large ones uploaded before; its id. Unchanged files make none."""
        from huggingface_hub import CommitOperationAdd

        operations = [CommitOperationAdd(path, content) for path, content in files.items()]  # read anew at each try
        with errors(self.name):
            made = self.api.create_commit(
                self.name,
                operations,
                commit_message=title,
                commit_description=description,
                repo_type=KIND,
                revision=self.branch,
                parent_commit=parent,
            )
        return str(made.oid)

    def commit_of(self, description: str, head: Head) -> str:
        """The latest commit whose description holds this; the head where none says so."""
        with errors(self.name):
            commits = self.api.list_repo_commits(self.name, repo_type=KIND, revision=self.branch)
        return next((c.commit_id for c in commits if description in (c.message or "")), head.commit)

    def tag(self, name: str, commit: str) -> None:
        """Raises ConflictError where it exists."""
        with errors(self.name):
            self.api.create_tag(self.name, tag=name, revision=commit, repo_type=KIND)


@contextlib.contextmanager
def errors(repo: str) -> Iterator[None]:
    """What the clients raise, as errors of ours; one who waits too long is raised too."""
    from huggingface_hub import errors as theirs
    from huggingface_hub.utils import get_session

    http = getattr(theirs, "HTTPError", OSError)  # of the HTTP library: also lost connections
    session: Any = get_session()
    before = getattr(session, "timeout", None)
    session.timeout = PATIENCE  # of the session's requests that have none of their own
    try:
        yield
    except HfnegError:
        raise
    except theirs.LocalTokenNotFoundError:
        raise AccessError(_no_token(repo)) from None
    except (http, OSError, RuntimeError, UnicodeError, JSONDecodeError) as error:  # the last: a proxy's answer, say
        raise _translated(error, repo) from scrubbed(error)
    except (LookupError, TypeError, AttributeError) as error:  # of the clients, over JSON without what they look for
        raise PassingError(
            f"what answered while {repo} was worked on is not the Hub, or not as it should be "
            f"({type(error).__name__}); see whether a proxy or HF_ENDPOINT stands in between"
        ) from scrubbed(error)
    except ValueError as error:  # of the clients, before they send anything
        said = " ".join(str(error).split())
        raise PublishError(f"the Hub refuses what was to be sent to {repo}: {said}") from scrubbed(error)
    finally:
        session.timeout = before


def _translated(error: BaseException, repo: str) -> HfnegError:
    status, reason = _status(error), _reason(error)
    if status in (409, 412):
        return ConflictError(f"{repo} was changed by somebody else at the same time: {reason}")
    if status == 401:
        return AccessError(f"the Hub does not accept the token for {repo} ({reason}); log in with `hf auth login`")
    if status == 403:
        return AccessError(
            f"the token may not do that with {repo} ({reason}): it needs write rights to its namespace; ask its "
            "owner, or publish under a name of your own"
        )
    if status == 404:
        return PublishError(f"{repo} is not there, or private ({reason})")
    if status is not None and status < 500 and status != 429:
        return PublishError(f"the Hub refuses what was sent to {repo}: {reason}")
    return PassingError(f"the Hub could not be reached or failed while {repo} was worked on: {reason}")


def _no_token(repo: str) -> str:
    return f"there is no token to write to {repo} with; log in with `hf auth login`, or set HF_TOKEN"


def _status(error: BaseException | None) -> int | None:
    """The HTTP status, also of an error that a worker thread wrapped."""
    while error is not None:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status is not None:
            return int(status)
        error = error.__cause__
    return None


def _reason(error: BaseException) -> str:
    """One line, of the innermost error."""
    server = getattr(error, "server_message", None)
    while error.__cause__ is not None and server is None:
        error = error.__cause__
        server = getattr(error, "server_message", None)
    lines: list[Any] = [line.strip() for line in str(server or error).splitlines() if line.strip()]
    return str(lines[0]) if lines else type(error).__name__
