"""A small Hub on loopback: repositories with commits, branches, tags and large files, kept on disk.

It answers what `huggingface_hub` and `datasets` ask of the real one, so that they can be used in tests as they
are: set HF_ENDPOINT to `url`, HF_HUB_DISABLE_XET=1 and HF_TOKEN to one of its tokens before they are imported.

Besides, it can be told to fail: `hub.plan(Fault(...))` cuts a connection or answers with a status, at the n-th
request or at the first that matches a pattern; `hub.log` holds every request in order.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

KINDS = ("model", "dataset", "space")
LARGE = (".parquet", ".arrow", ".png", ".safetensors", ".bin")
PAGE = 50
"""Entries of a listing before it goes on behind a Link header."""


class RefusedError(Exception):
    """An answer that is an error: status, and the headers by which the clients tell its kind."""

    def __init__(self, status: int, message: str, code: str | None = None, body: Mapping[str, Any] | None = None):
        super().__init__(message)
        self.status, self.message, self.code, self.body = status, message, code, body or {"error": message}


@dataclass
class User:
    """Who a token belongs to: `role` is "write" or "read"; `spaces` are the names under which it may write."""

    name: str
    orgs: tuple[str, ...] = ()
    role: str = "write"

    def may_write(self, namespace: str) -> bool:
        return self.role == "write" and namespace in (self.name, *self.orgs)


@dataclass
class Fault:
    """What to do to one request (or to `times` of them).

    at: the number of the request, from 0, counted since the plan was made; None: any.
    match: a pattern for "METHOD /path"; None: any.
    status: answer with it; None: cut the connection.
    body: answer with this, and 200 where no status is given, as something that stands in between may.
    after: do the work of the request first, so that only its answer is lost.
    hang: do not answer until the client gives up.
    run: call this before the request is worked on (and go on, where neither status nor cut is wanted).
    """

    at: int | None = None
    match: str | None = None
    status: int | None = None
    body: bytes | None = None
    after: bool = False
    hang: bool = False
    times: int = 1
    run: Callable[[], None] | None = None

    def hits(self, number: int, line: str) -> bool:
        here = self.at is None or self.at == number
        return self.times > 0 and here and (self.match is None or re.search(self.match, line) is not None)


@dataclass
class Blob:
    """One file of a tree: `oid` is its git id, `sha256` its name in the store of large files."""

    oid: str
    size: int
    sha256: str | None = None

    def etag(self) -> str:
        return self.sha256 or self.oid


@dataclass
class Commit:
    """A state of all files, and where it came from."""

    oid: str
    parent: str | None
    title: str
    description: str
    date: str
    author: str
    files: dict[str, Blob] = field(default_factory=dict)


class Repository:
    """Commits, branches and tags of one repository; every change is written to `folder` before it counts."""

    def __init__(self, folder: Path, kind: str, name: str) -> None:
        self.folder, self.kind, self.name = folder, kind, name
        self.private = self.gated = False
        self.commits: dict[str, Commit] = {}
        self.branches: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.large: dict[str, int] = {}  # of this repository, by sha256
        folder.mkdir(parents=True)
        attributes = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LARGE)
        self.commit("main", None, "initial commit", "", "system", {".gitattributes": self.add(attributes.encode())})

    def add(self, content: bytes, large: bool = False) -> Blob:
        """Keep the content of a file."""
        header = f"blob {len(content)}\0".encode()
        oid = hashlib.sha1(header + content).hexdigest()
        sha = hashlib.sha256(content).hexdigest() if large else None
        (self.folder / (sha or oid)).write_bytes(content)
        if sha:
            self.large[sha] = len(content)
        return Blob(oid, len(content), sha)

    def commit(
        self, branch: str, parent: str | None, title: str, description: str, author: str, changes: Mapping[str, Any]
    ) -> Commit:
        """Put `changes` (path -> Blob, None: deleted) on top of a branch; `parent`, where given, must be its head."""
        head = self.branches.get(branch)
        if parent is not None and parent != head:
            raise RefusedError(412, f"A commit has happened since. Please refresh and try again. ({head} is the head)")
        files = dict(self.commits[head].files) if head else {}
        for path, blob in changes.items():
            if blob is None:
                files = {name: kept for name, kept in files.items() if name != path and not name.startswith(f"{path}/")}
            else:
                files[path] = blob
        text = json.dumps([head, title, {path: blob.etag() for path, blob in files.items()}, len(self.commits)])
        oid = hashlib.sha1(text.encode()).hexdigest()
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        made = Commit(oid, head, title, description, now, author, files)
        self.commits[oid] = made
        self.branches[branch] = oid
        self.save()
        return made

    def save(self) -> None:
        """Write everything but the files' content, which is there already."""
        state = {"branches": self.branches, "tags": self.tags, "private": self.private}
        state["commits"] = {oid: {**vars(c), "files": {p: vars(b) for p, b in c.files.items()}} for oid, c in
                            self.commits.items()}  # fmt: skip
        partial = self.folder / "state.partial"
        partial.write_text(json.dumps(state))
        partial.replace(self.folder / "state.json")

    def at(self, revision: str) -> Commit:
        """The commit of a branch, a tag or (the beginning of) an oid."""
        oid = self.branches.get(revision) or self.tags.get(revision)
        if oid is None and len(revision) >= 7:
            oid = next((known for known in self.commits if known.startswith(revision)), None)
        if oid is None:
            raise RefusedError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return self.commits[oid]

    def content(self, revision: str, path: str) -> bytes:
        """A file's content."""
        found = self.at(revision).files.get(path)
        if found is None:
            raise RefusedError(404, f"{path} does not exist", "EntryNotFound")
        return (self.folder / found.etag()).read_bytes()

    def history(self, revision: str) -> list[Commit]:
        """Commits from `revision` back to the first."""
        found: list[Commit] = []
        oid: str | None = self.at(revision).oid
        while oid is not None:
            found.append(self.commits[oid])
            oid = found[-1].parent
        return found


class Hub:
    """The server, its repositories and its tokens. Use as a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.users: dict[str, User] = {}
        self.log: list[str] = []
        self._faults: list[Fault] = []
        self._counted = 0
        self.lock = threading.RLock()
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._server.socket.setblocking(False)  # a connection that is gone again must not hold the server
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Hub:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    # What tests do directly.

    def plan(self, *faults: Fault) -> None:
        """Forget earlier faults, count requests and log them from here on."""
        with self.lock:
            self._faults, self._counted = list(faults), 0
            self.log.clear()

    def repository(self, name: str, kind: str = "dataset") -> Repository:
        return self.repositories[kind, name]

    def create(self, name: str, kind: str = "dataset", private: bool = False) -> Repository:
        with self.lock:
            made = Repository(self.folder / kind / name, kind, name)
            made.private = private
            self.repositories[kind, name] = made
            return made

    def put(self, name: str, files: Mapping[str, str | bytes], title: str = "by hand", kind: str = "dataset") -> str:
        """Commit files to main, as somebody else would; the commit's oid."""
        with self.lock:
            repository = self.repository(name, kind)
            changes = {
                path: repository.add(content.encode() if isinstance(content, str) else content, path.endswith(LARGE))
                for path, content in files.items()
            }
            return repository.commit("main", None, title, "", "somebody", changes).oid

    # Faults.

    def next_fault(self, line: str) -> Fault | None:
        with self.lock:
            number = self._counted
            self._counted += 1
            self.log.append(line)
            for fault in self._faults:
                if fault.hits(number, line):
                    fault.times -= 1
                    return fault
        return None


@contextmanager
def served(folder: Path) -> Iterator[Hub]:
    """A running Hub with two who may write to "org", one who may only read, and a stranger."""
    with Hub(folder) as hub:
        hub.users = {
            "hf_" + "a" * 34: User("anna", ("org",)),
            "hf_" + "b" * 34: User("bert", ("org",)),
            "hf_" + "r" * 34: User("rosa", ("org",), role="read"),
            "hf_" + "s" * 34: User("stan"),
        }
        yield hub


Route = tuple[str, re.Pattern[str], str]
_NAME = r"(?P<name>[^/]+/[^/]+)"
_API = rf"/api/(?P<kind>model|dataset|space)s/{_NAME}"
_ROUTES: list[Route] = [
    (methods, re.compile(pattern + "$"), action)
    for methods, pattern, action in [
        ("GET", "/api/whoami-v2", "whoami"),
        ("POST", "/api/repos/create", "create"),
        ("DELETE", "/api/repos/delete", "delete"),
        ("POST", "/api/validate-yaml", "validate"),
        ("GET", _API, "info"),
        ("GET", _API + "/revision/(?P<rev>[^/]+)", "info"),
        ("GET", _API + "/refs", "refs"),
        ("GET", _API + "/commits/(?P<rev>[^/]+)", "commits"),
        ("GET", _API + "/tree/(?P<rev>[^/]+)(?:/(?P<path>.*))?", "tree"),
        ("POST", _API + "/paths-info/(?P<rev>[^/]+)", "paths"),
        ("POST", _API + "/preupload/(?P<rev>[^/]+)", "preupload"),
        ("POST", _API + "/commit/(?P<rev>[^/]+)", "commit"),
        ("POST", _API + "/branch/(?P<rev>[^/]+)", "branch"),
        ("DELETE", _API + "/branch/(?P<rev>[^/]+)", "unbranch"),
        ("POST", _API + "/tag/(?P<rev>[^/]+)", "tag"),
        ("DELETE", _API + "/tag/(?P<rev>[^/]+)", "untag"),
        ("POST", rf"/(?P<kind>dataset|space)s/{_NAME}\.git/info/lfs/objects/batch", "batch"),
        ("POST", rf"/{_NAME}\.git/info/lfs/objects/batch", "batch"),
        ("PUT", r"/lfs/(?P<kind>\w+)/(?P<name>[^/]+/[^/]+)/(?P<oid>[0-9a-f]{64})", "upload"),
        ("POST", r"/lfs/(?P<kind>\w+)/(?P<name>[^/]+/[^/]+)/(?P<oid>[0-9a-f]{64})", "verify"),
        ("GET HEAD", rf"/(?P<kind>dataset|space)s/{_NAME}/resolve/(?P<rev>[^/]+)/(?P<path>.+)", "resolve"),
        ("GET HEAD", rf"/{_NAME}/resolve/(?P<rev>[^/]+)/(?P<path>.+)", "resolve"),
    ]
]


@dataclass
class Request:
    """One request, with what its path named."""

    hub: Hub
    body: bytes
    query: dict[str, list[str]]
    headers: Any
    user: User | None
    kind: str = "model"
    name: str = ""
    rev: str = "main"
    path: str = ""
    oid: str = ""

    def json(self) -> Any:
        return json.loads(self.body)

    def repository(self, *, write: bool = False, content: bool = False) -> Repository:
        """The repository, where this user may see it (and write to it, and read its files)."""
        found = self.hub.repositories.get((self.kind, self.name))
        namespace = self.name.split("/")[0]
        member = self.user is not None and namespace in (self.user.name, *self.user.orgs)
        if found is None or (found.private and not member):
            raise RefusedError(404, "Repository not found", "RepoNotFound")
        if write:
            self.must_write(namespace)
        if content and found.gated and not member:
            status = 403 if self.user else 401
            raise RefusedError(status, f"Access to dataset {self.name} is restricted", "GatedRepo")
        return found

    def must_write(self, namespace: str) -> None:
        if self.user is None:
            raise RefusedError(401, "Invalid username or password.")
        if not self.user.may_write(namespace):
            raise RefusedError(403, f"Forbidden: you don't have rights to write to {namespace}")


Answer = tuple[int, Any, dict[str, str]]


class Actions:
    """What each route does; every method takes a Request and returns (status, JSON or bytes, headers)."""

    def whoami(self, request: Request) -> Answer:
        if request.user is None:
            raise RefusedError(401, "Invalid username or password.")
        user = request.user
        orgs = [{"name": name, "type": "org"} for name in user.orgs]
        role = {"type": "access_token", "accessToken": {"role": user.role, "displayName": "test"}}
        return 200, {"type": "user", "name": user.name, "fullname": user.name, "orgs": orgs, "auth": role}, {}

    def create(self, request: Request) -> Answer:
        wanted = request.json()
        namespace = wanted.get("organization") or (request.user.name if request.user else "")
        request.must_write(namespace)
        kind, name = wanted.get("type", "model"), f"{namespace}/{wanted['name']}"
        prefix = "" if kind == "model" else f"{kind}s/"
        answer = {"url": f"{request.hub.url}/{prefix}{name}", "name": name, "id": name}
        if (kind, name) in request.hub.repositories:
            raise RefusedError(409, "exists", body={**answer, "error": "You already created this repo"})
        request.hub.create(name, kind, wanted.get("visibility") == "private" or bool(wanted.get("private")))
        return 200, answer, {}

    def delete(self, request: Request) -> Answer:
        given = request.json()
        request.kind, request.name = given.get("type", "model"), f"{given['organization']}/{given['name']}"
        request.repository(write=True)
        del request.hub.repositories[request.kind, request.name]
        return 200, {}, {}

    def validate(self, request: Request) -> Answer:
        import yaml

        head = re.match(r"---\n(.*?)\n---", request.json()["content"], re.DOTALL)
        errors = []
        try:
            known = yaml.safe_load(head.group(1)) if head else {}
            if not isinstance(known, dict):
                errors = [{"message": "the metadata should be a mapping"}]
            for config in (known or {}).get("configs", []):
                if not isinstance(config.get("config_name"), str) or not config.get("data_files"):
                    errors.append({"message": f"not a config: {config}"})
            licences = (known or {}).get("license") or []
            for licence in licences if isinstance(licences, list) else [licences]:
                if not re.fullmatch(r"[a-z0-9.+-]+", str(licence)):
                    errors.append({"message": f'"license" must be one of the known licences, not {licence}'})
        except yaml.YAMLError as error:
            errors = [{"message": str(error)}]
        return (400 if errors else 200), {"errors": errors, "warnings": []}, {}

    def info(self, request: Request) -> Answer:
        repository = request.repository()
        commit = repository.at(request.rev)
        siblings = [{"rfilename": path} for path in sorted(commit.files)]
        return 200, {
            "id": repository.name, "author": repository.name.split("/")[0], "sha": commit.oid,
            "lastModified": commit.date, "createdAt": repository.history("main")[-1].date,
            "private": repository.private, "gated": "manual" if repository.gated else False, "disabled": False,
            "downloads": 0, "likes": 0, "tags": [], "siblings": siblings, "cardData": _card_data(repository, commit),
        }, {}  # fmt: skip

    def refs(self, request: Request) -> Answer:
        repository = request.repository()

        def listed(refs: dict[str, str], where: str) -> list[dict[str, str]]:
            return [{"name": n, "ref": f"refs/{where}/{n}", "targetCommit": oid} for n, oid in refs.items()]

        return 200, {
            "branches": listed(repository.branches, "heads"), "tags": listed(repository.tags, "tags"),
            "converts": [], "pullRequests": [],
        }, {}  # fmt: skip

    def commits(self, request: Request) -> Answer:
        found = [
            {"id": c.oid, "authors": [{"user": c.author}], "date": c.date, "title": c.title, "message": c.description}
            for c in request.repository().history(request.rev)
        ]
        return _page(request, found)

    def tree(self, request: Request) -> Answer:
        commit = request.repository(content=True).at(request.rev)
        folder = f"{request.path.strip('/')}/" if request.path else ""
        inside = {path: blob for path, blob in commit.files.items() if path.startswith(folder)}
        if folder and not inside:
            raise RefusedError(404, f"{request.path} does not exist", "EntryNotFound")
        entries = {}
        for path, blob in sorted(inside.items()):
            parts = path[len(folder) :].split("/")
            for depth in range(1, len(parts)):
                above = folder + "/".join(parts[:depth])
                entries[above] = {"type": "directory", "path": above, "oid": _oid(above), "size": 0}
            entries[path] = _entry(path, blob)
        if request.query.get("recursive", ["false"])[0].lower() not in ("true", "1"):
            entries = {path: entry for path, entry in entries.items() if "/" not in path[len(folder) :]}
        return _page(request, [entries[path] for path in sorted(entries)])

    def paths(self, request: Request) -> Answer:
        commit = request.repository(content=True).at(request.rev)
        form = request.headers.get("Content-Type", "").startswith("application/x-www-form")
        wanted = parse_qs(request.body.decode()).get("paths", []) if form else request.json()["paths"]
        found = []
        for path in wanted:
            if path in commit.files:
                found.append(_entry(path, commit.files[path]))
            elif any(name.startswith(f"{path}/") for name in commit.files):
                found.append({"type": "directory", "path": path, "oid": _oid(path), "size": 0})
        return 200, found, {}

    def preupload(self, request: Request) -> Answer:
        files = request.repository(write=True).at(request.rev).files
        answers = []
        for given in request.json()["files"]:
            known = files.get(given["path"])
            mode = "lfs" if given["path"].endswith(LARGE) else "regular"
            answer = {"path": given["path"], "uploadMode": mode, "shouldIgnore": False}
            answers.append({**answer, "oid": known.etag()} if known else answer)
        return 200, {"files": answers}, {}

    def commit(self, request: Request) -> Answer:
        repository = request.repository(write=True)
        header: dict[str, Any] = {}
        changes: dict[str, Blob | None] = {}
        for line in request.body.splitlines():
            item = json.loads(line)
            kind, value = item["key"], item["value"]
            if kind == "header":
                header = value
            elif kind == "file":
                changes[value["path"]] = repository.add(base64.b64decode(value["content"]))
            elif kind == "lfsFile":
                if value["oid"] not in repository.large:
                    raise RefusedError(400, f"{value['path']}: the large file {value['oid']} was never uploaded")
                size = repository.large[value["oid"]]
                changes[value["path"]] = Blob(_oid(value["oid"]), size, value["oid"])
            else:
                changes[value["path"].rstrip("/")] = None
        if request.rev not in repository.branches:
            raise RefusedError(404, f"Invalid rev id: {request.rev}", "RevisionNotFound")
        assert request.user is not None
        made = repository.commit(
            request.rev, header.get("parentCommit"), header["summary"], header.get("description", ""),
            request.user.name, changes,
        )  # fmt: skip
        url = f"{request.hub.url}/{request.kind}s/{request.name}/commit/{made.oid}"
        return 200, {"success": True, "commitUrl": url, "commitOid": made.oid, "hookOutput": ""}, {}

    def branch(self, request: Request) -> Answer:
        repository = request.repository(write=True)
        if request.rev in repository.branches:
            raise RefusedError(409, f"Reference already exists: refs/heads/{request.rev}")
        start = json.loads(request.body or b"{}").get("startingPoint", "main")
        repository.branches[request.rev] = repository.at(start).oid
        repository.save()
        return 200, {}, {}

    def unbranch(self, request: Request) -> Answer:
        repository = request.repository(write=True)
        if repository.branches.pop(request.rev, None) is None:
            raise RefusedError(404, "no such branch", "RevisionNotFound")
        repository.save()
        return 200, {}, {}

    def tag(self, request: Request) -> Answer:
        repository, name = request.repository(write=True), request.json()["tag"]
        if name in repository.tags:
            raise RefusedError(409, f"Reference already exists: refs/tags/{name}")
        repository.tags[name] = repository.at(request.rev).oid
        repository.save()
        return 200, {}, {}

    def untag(self, request: Request) -> Answer:
        repository = request.repository(write=True)
        if repository.tags.pop(request.rev, None) is None:
            raise RefusedError(404, "no such tag", "RevisionNotFound")
        repository.save()
        return 200, {}, {}

    def batch(self, request: Request) -> Answer:
        repository = request.repository(write=True)
        objects = []
        for given in request.json()["objects"]:
            answer: dict[str, Any] = {"oid": given["oid"], "size": given["size"]}
            if given["oid"] not in repository.large:
                href = f"{request.hub.url}/lfs/{request.kind}/{request.name}/{given['oid']}"
                answer["actions"] = {"upload": {"href": href}, "verify": {"href": href}}
            objects.append(answer)
        return 200, {"transfer": "basic", "objects": objects}, {}

    def upload(self, request: Request) -> Answer:
        repository = request.hub.repositories[request.kind, request.name]
        if hashlib.sha256(request.body).hexdigest() != request.oid:
            raise RefusedError(400, "the content is not what its name says")
        repository.add(request.body, large=True)
        return 200, {}, {}

    def verify(self, request: Request) -> Answer:
        stored = request.repository(write=True).large.get(request.oid)
        if stored != request.json()["size"]:
            raise RefusedError(404, "no such large file")
        return 200, {}, {}

    def resolve(self, request: Request) -> Answer:
        repository = request.repository(content=True)
        commit = repository.at(request.rev)
        content = repository.content(commit.oid, request.path)
        headers = {
            "X-Repo-Commit": commit.oid, "ETag": f'"{commit.files[request.path].etag()}"', "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
        }  # fmt: skip
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("Range") or "")
        if wanted is None or wanted.groups() == ("", ""):
            return 200, content, headers
        first, last = wanted.groups()
        start = int(first) if first else max(len(content) - int(last), 0)
        stop = int(last) + 1 if first and last else len(content)
        if start >= len(content) and content:
            raise RefusedError(416, "outside of the file")
        part = content[start:stop]
        headers["Content-Range"] = f"bytes {start}-{start + len(part) - 1}/{len(content)}"
        return 206, part, headers


def _oid(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()


def _entry(path: str, blob: Blob) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": path, "oid": blob.oid, "size": blob.size}
    return {**entry, "lfs": {"oid": blob.sha256, "size": blob.size, "pointerSize": 130}} if blob.sha256 else entry


def _page(request: Request, entries: list[Any]) -> Answer:
    start = int(request.query.get("cursor", ["0"])[0])
    if start + PAGE >= len(entries):
        return 200, entries[start:], {}
    query = "&".join(f"{key}={value[0]}" for key, value in request.query.items() if key != "cursor")
    link = f"{request.hub.url}{request.headers['X-Path']}?{query}&cursor={start + PAGE}"
    return 200, entries[start : start + PAGE], {"Link": f'<{link}>; rel="next"'}


def _card_data(repository: Repository, commit: Commit) -> Any:
    import yaml

    if "README.md" not in commit.files:
        return None
    head = re.match(r"---\n(.*?)\n---", repository.content(commit.oid, "README.md").decode(), re.DOTALL)
    try:
        return json.loads(json.dumps(yaml.safe_load(head.group(1)), default=str)) if head else None
    except yaml.YAMLError:
        return None


class _Handler(BaseHTTPRequestHandler):
    """Reads a request, lets faults have their way, and answers."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a body behind its head would wait 40 ms for the other end's word
    hub: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

    def _serve(self) -> None:
        body = self._body()
        raw, _, query = self.path.partition("?")
        fault = self.hub.next_fault(f"{self.command} {raw}")
        if fault is not None and fault.run is not None:
            fault.run()
            fault = None
        if fault is not None and not fault.after:
            return self._fail(fault)
        self.headers["X-Path"] = raw
        try:
            answer = self._act(raw, parse_qs(query), body)
        except RefusedError as refusal:
            headers = {"X-Error-Message": refusal.message, **({"X-Error-Code": refusal.code} if refusal.code else {})}
            answer = refusal.status, refusal.body, headers
        if fault is not None:
            return self._fail(fault)
        self._answer(*answer)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _act(self, raw: str, query: dict[str, list[str]], body: bytes) -> Answer:
        for methods, pattern, action in _ROUTES:
            match = pattern.match(raw)
            if match and self.command in methods.split():
                named = {key: unquote(value) for key, value in match.groupdict().items() if value is not None}
                request = Request(self.hub, body, query, self.headers, self._user(), **named)
                with self.hub.lock:
                    answer: Answer = getattr(Actions(), action)(request)
                return answer
        raise RefusedError(404, f"this Hub does not know {self.command} {raw}")

    def _user(self) -> User | None:
        given = self.headers.get("Authorization", "")
        if not given:
            return None
        found = self.hub.users.get(given.removeprefix("Bearer "))
        if found is None:
            raise RefusedError(401, "Invalid credentials in Authorization header")
        return found

    def _fail(self, fault: Fault) -> None:
        if fault.hang:
            self.connection.settimeout(30)
            with suppress(OSError):
                self.connection.recv(1)  # returns when the other end has closed
        if fault.body is not None:
            return self._answer(fault.status or 200, fault.body, {})
        if fault.status is not None:
            return self._answer(fault.status, {"error": f"planned: {fault.status}"}, {})
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(2)

    def _answer(self, status: int, body: Any, headers: dict[str, str]) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
