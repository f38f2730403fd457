"""What a server, a proxy or a network may do to an `EndpointTeacher`: the token stays here, and all of it ends."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import logging
import pickle
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

import hfneg
from hfneg import EndpointTeacher
from hfneg.base.http import connection, server as requests
from hfneg.errors import EndpointError, HfnegError, SettingError
from hfneg.hub import reproduce
from hfneg.hub.reading import Provenance

TOKEN = "s3cr3t-token/of+somebody=1"  # no form by which it could be known
SCORE = json.dumps([{"index": 0, "score": 1.0}]).encode()
Say = Callable[[socket.socket, bytes], None]


class Raw:
    """A server on loopback that says whatever it is told to, byte by byte; it keeps what it was asked."""

    def __init__(self, say: Say) -> None:
        self.say, self.asked = say, list[bytes]()
        self.ended = threading.Event()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._answer, args=(self.socket.accept()[0],), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                request += client.recv(1 << 16)
            head, _, body = request.partition(b"\r\n\r\n")
            length = next(
                (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-len")), 0
            )
            while len(body) < length:
                body += client.recv(1 << 16)
            self.asked.append(head + b"\r\n\r\n" + body)
            self.say(client, self.asked[-1])

    def close(self) -> None:
        """The thread ends first: one about to accept would take what comes to the next socket of this number."""
        self.ended.set()
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.socket.close()


def answer(content: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def saying(content: bytes) -> Say:
    return lambda client, request: client.sendall(content)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Say], Raw]]:
    monkeypatch.setattr(requests, "FIRST_WAIT", 0.001)
    monkeypatch.setenv("HFNEG_ENDPOINT_TOKEN", TOKEN)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    servers: list[Raw] = []

    def start(say: Say) -> Raw:
        servers.append(Raw(say))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def failure(server: Raw | str, **settings: Any) -> HfnegError:
    """What scoring one pair raises."""
    url = server if isinstance(server, str) else server.url
    teacher = EndpointTeacher(url, **{"id": "x", "retries": 0, "timeout": 5.0, **settings})
    with pytest.raises(HfnegError) as caught:
        teacher.score(["q"], ["d"])
    return caught.value


def told(error: BaseException) -> str:
    """All that can be read of an error: the whole chained traceback, and what it holds."""
    seen: list[BaseException | None] = [error]
    for one in seen:
        if one is not None and len(seen) < 50:
            seen += [one.__cause__, one.__context__]
    whole = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return whole + "".join(f"{one!r} {one} {one.args}" for one in seen if one is not None)


# Where the token goes.


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nothing_goes_to_another_origin(serve: Callable[[Say], Raw], status: int, method: str) -> None:
    """Not the token, not the texts, not even a connection; the message names where it should have gone."""
    other = serve(saying(answer(SCORE)))
    place = f"Location: {other.url}/rerank?key={TOKEN}"
    server = serve(saying(answer(b"", f"{status} Go", place)))
    error = failure(server) if method == "POST" else failure(server, id=None)
    assert isinstance(error, EndpointError)
    assert f"another origin, {other.url}" in str(error)
    assert other.asked == []
    assert len(server.asked) == 1
    assert TOKEN not in told(error)


@pytest.mark.parametrize(
    "there", ["https://127.0.0.1:{port}/x", "http://localhost:{port}/x", "//127.0.0.2:{port}/", "ftp://127.0.0.1/x"]
)
def test_scheme_host_and_port_are_the_origin(serve: Callable[[Say], Raw], there: str) -> None:
    """Another scheme or name is another origin, though it were the same machine."""
    place = []
    server = serve(lambda client, request: client.sendall(answer(b"", "307 Go", f"Location: {place[0]}")))
    place.append(there.format(port=server.port))
    assert "another origin" in str(failure(server))
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ("http://user:pass@127.0.0.1:{port}/x", "address that is none"),
        ("http://[::1", "address that is none"),
        ("http://127.0.0.1:99999999/", "address that is none"),
    ],
)
def test_a_redirect_to_no_address(serve: Callable[[Say], Raw], there: str, said: str) -> None:
    """A typed error at once."""
    place = []
    server = serve(lambda client, request: client.sendall(answer(b"", "302 Go", f"Location: {place[0]}")))
    place.append(there.format(port=server.port))
    assert said in str(failure(server))
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_within_the_origin_is_followed(serve: Callable[[Say], Raw], status: int) -> None:
    """With method, body and token; 303 would turn the POST into a GET, and is refused."""

    def say(client: socket.socket, request: bytes) -> None:
        moved = answer(b"", f"{status} Go", "Location: /there/rerank")
        client.sendall(answer(SCORE) if request.startswith(b"POST /there/rerank ") else moved)

    server = serve(say)
    assert EndpointTeacher(server.url, id="x").score(["q"], ["d"]).tolist() == [1.0]
    first, second = (request.partition(b"\r\n")[2] for request in server.asked)
    assert first == second
    assert TOKEN.encode() in second
    assert "303" in str(failure(serve(saying(answer(b"", "303 See", "Location: /there")))))


def test_redirects_have_an_end(serve: Callable[[Say], Raw]) -> None:
    """In a circle: six requests, then an error."""
    server = serve(saying(answer(b"", "307 Go", "Location: /rerank")))
    assert "more than 5 times" in str(failure(server, retries=3))
    assert len(server.asked) == 1 + connection.MOST_REDIRECTS


# What is said of it.


def echo(request: bytes) -> str:
    head = request.partition(b"\r\n\r\n")[0].decode()
    return next(line for line in head.split("\r\n") if line.startswith("Authorization"))


ECHOES = {
    "error": lambda line: json.dumps({"error": f"bad header {line}"}).encode(),
    "message": lambda line: json.dumps({"message": {"headers": [line]}}).encode(),
    "plain": lambda line: f"you sent {line}".encode(),
    "cut in the middle": lambda line: b"x" * (80 - len("Authorization: Bearer ") - 5) + line.encode(),
    "cut by 200": lambda line: json.dumps({"error": "x" * 170 + line}).encode(),
    "not JSON": lambda line: b'{"' + line.encode(),
    "no list": lambda line: json.dumps({line: line}).encode(),
    "a list of them": lambda line: json.dumps([line.split()[-1]] * 3).encode(),
    "in other quotes": lambda line: json.dumps(
        {"error": repr(line).replace("/", "%2F").replace("+", "%2B").replace("=", "%3D")}
    ).encode(),
}


@pytest.mark.parametrize("status", ["200 OK", "400 Bad", "401 No", "404 No", "422 No", "503 Busy"])
@pytest.mark.parametrize("kind", ECHOES)
def test_what_a_server_echoes_is_taken_out(
    serve: Callable[[Say], Raw], status: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever it makes of the header, no piece of the token is in message, traceback, chain or log."""
    caplog.set_level(logging.DEBUG)
    server = serve(lambda client, request: client.sendall(answer(ECHOES[kind](echo(request)), status)))
    for error in (failure(server), failure(server, id=None)):
        whole = told(error) + caplog.text
        for piece in (TOKEN, TOKEN[:8], TOKEN[-8:]):
            assert piece not in whole


@pytest.mark.parametrize("status", ["401 {}", "503 {}", "307 {}"])
def test_an_echo_in_the_reason(serve: Callable[[Say], Raw], status: str) -> None:
    """The status line is a text of the server's too."""
    server = serve(lambda client, request: client.sendall(answer(b"", status.format(echo(request)))))
    assert TOKEN not in told(failure(server))


def test_a_short_token_is_taken_out(serve: Callable[[Say], Raw], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of its own server's messages, although five letters may stand in any text."""
    monkeypatch.setenv("HFNEG_ENDPOINT_TOKEN", "qzwxk")
    for info in ({"error": "who is qzwxk?"}, {"model_id": "qzwxk", "model_sha": "1"}):
        server = serve(saying(answer(json.dumps(info).encode())))
        for settings in ({}, {"id": None, "model": "a/b"}):
            assert "qzwxk" not in told(failure(server, **settings))


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("first-half\nsecond-half", "character 11 of 22 is a line break"),
        ("first-half\r\nX-Evil: second-half", "a line break"),
        ("first-half second-half", "a blank"),
        ("first-half-ключ-second-half", "not an ASCII character"),
        ("first-half\x00second-half", "a control character"),
    ],
)
@pytest.mark.parametrize("ask", ["digest", "score"])
def test_a_token_that_no_header_holds(
    serve: Callable[[Say], Raw], monkeypatch: pytest.MonkeyPatch, token: str, said: str, ask: str
) -> None:
    """Refused before anything is sent, by place and kind of the character; no half of it is shown."""
    from hfneg.base.credentials import usable_token

    server = serve(saying(answer(SCORE)))
    if "\x00" in token:  # no environment holds this
        with pytest.raises(SettingError) as caught:
            usable_token(token, "token=")
        error: HfnegError = caught.value
    else:
        monkeypatch.setenv("HFNEG_ENDPOINT_TOKEN", token)
        error = failure(server) if ask == "score" else failure(server, id=None)
        assert "HFNEG_ENDPOINT_TOKEN" in str(error)
    assert isinstance(error, SettingError)
    assert said in str(error)
    assert server.asked == []
    assert "first-half" not in told(error)
    assert "second-half" not in told(error)


def test_blanks_around_a_token(serve: Callable[[Say], Raw], monkeypatch: pytest.MonkeyPatch) -> None:
    """A file's last line break is no part of it."""
    monkeypatch.setenv("HFNEG_ENDPOINT_TOKEN", f" {TOKEN}\r\n")
    server = serve(saying(answer(SCORE)))
    EndpointTeacher(server.url, id="x").score(["q"], ["d"])
    assert f"\r\nAuthorization: Bearer {TOKEN}\r\n".encode() in server.asked[0]


def test_the_token_is_in_nothing_that_is_kept(
    serve: Callable[[Say], Raw], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in repr, settings, recipe, pickle, digest, log; and the digest is the same without it."""
    caplog.set_level(logging.DEBUG)
    info = {"model_id": "a/b", "model_sha": "1" * 40}
    server = serve(
        lambda client, request: client.sendall(answer(SCORE if b"POST" in request else json.dumps(info).encode()))
    )
    teacher = EndpointTeacher(server.url)
    teacher.score(["q"], ["d"])
    assert teacher.served == "a/b"
    kept = [
        repr(teacher),
        str(teacher.settings()),
        str(vars(teacher)),
        hfneg.Recipe(teacher=teacher).to_yaml(),
        caplog.text,
    ]
    assert TOKEN not in "".join(kept)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert TOKEN.encode() not in pickle.dumps(teacher, protocol)
    monkeypatch.delenv("HFNEG_ENDPOINT_TOKEN")
    assert EndpointTeacher(server.url).digest == teacher.digest


@pytest.mark.parametrize(
    "url",
    [
        "http://user:passw0rd@host:80",
        "https://passw0rd@host",
        "user:passw0rd@host",
        "http:/user:passw0rd@host",
        "http://host/rerank?key=passw0rd",
        "http://host?passw0rd",
        "http://host/#passw0rd",
        "http://host\n/?key=passw0rd",
        "http://user:p@ssw0rd@passw0rd@host",
        "http://host/a@b?passw0rd",
    ],
)
def test_what_a_url_hides_is_not_shown(url: str) -> None:
    """A refused url is named without user, password, query and fragment."""
    with pytest.raises(SettingError, match="url must be") as caught:
        EndpointTeacher(url)
    assert "ssw0rd" not in told(caught.value)


@pytest.mark.parametrize("url", ["http://host:99999", "http://host:0", "http://host:port", "http://[::1", "http://:80"])
def test_a_url_without_a_usable_host_or_port(url: str) -> None:
    """Said when the teacher is made, not after seven tries."""
    with pytest.raises(SettingError, match="url must be"):
        EndpointTeacher(url)


@pytest.mark.parametrize("proxy", ["http://me:passw0rd@127.0.0.1:9", "http:/me:passw0rd", "http://me:passw0rd@[::1:9"])
def test_a_proxy_keeps_its_password(serve: Callable[[Say], Raw], monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """One that is down, and two whose address is none."""
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.setenv("no_proxy", "")
    error = failure("http://host.invalid")
    assert isinstance(error, EndpointError)
    assert "passw0rd" not in told(error)
    assert TOKEN not in told(error)


def test_a_proxy_that_redirects(serve: Callable[[Say], Raw], monkeypatch: pytest.MonkeyPatch) -> None:
    """The origin is that of the server, not of the proxy."""
    proxy = serve(saying(answer(b"", "302 Go", "Location: http://evil.invalid/")))
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", "")
    assert "another origin, http://evil.invalid:80" in str(failure("http://host.invalid"))
    assert len(proxy.asked) == 1


# Everything has an end.


def until(server: list[Raw], drop: bytes) -> Say:
    """Drops for ever, each long before a socket's timeout."""

    def say(client: socket.socket, request: bytes) -> None:
        while not server[0].ended.wait(0.01):
            client.sendall(drop)

    return say


HEADER = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("begin", "drop"),
    [
        (b"", b"H"),
        (HEADER, b"X"),
        (HEADER + b"Content-Length: 1000000\r\n\r\n[", b" "),
        (HEADER + b"\r\n[", b" "),
        (HEADER + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (HEADER + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x"),
        (HEADER + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 422 No\r\n\r\n", b"x"),
    ],
)
def test_a_drip_has_an_end(serve: Callable[[Say], Raw], begin: bytes, drop: bytes) -> None:
    """`timeout` is for the request as a whole: status line, headers, body, chunks, and the body of an error."""
    this: list[Raw] = []

    def say(client: socket.socket, request: bytes) -> None:
        client.sendall(begin)
        until(this, drop)(client, request)

    this.append(serve(say))
    start = time.perf_counter()
    error = failure(this[0], timeout=0.3)
    assert isinstance(error, EndpointError)
    assert time.perf_counter() - start < 5
    assert "no answer within 0.3 s" in str(error) or "422" in str(error)


@pytest.mark.parametrize("chunked", [False, True, None])
def test_an_answer_of_ten_gigabytes(serve: Callable[[Say], Raw], monkeypatch: pytest.MonkeyPatch, chunked: Any) -> None:
    """Announced, in chunks, or just sent: refused once it is longer than any list of scores; not asked for again."""
    monkeypatch.setattr(connection, "LARGEST", 1 << 20)
    sent = [0]

    def say(client: socket.socket, request: bytes) -> None:
        how = {False: b"Content-Length: 10000000000\r\n", True: b"Transfer-Encoding: chunked\r\n", None: b""}[chunked]
        client.sendall(HEADER + how + b"\r\n")
        piece = b" " * (1 << 16)
        while True:
            client.sendall(b"10000\r\n" + piece + b"\r\n" if chunked else piece)
            sent[0] += len(piece)

    server = serve(say)
    assert "more than 1 MB" in str(failure(server, retries=3, timeout=30))
    assert len(server.asked) == 1
    assert sent[0] < 100 << 20


def test_a_compressed_answer_is_never_unpacked(serve: Callable[[Say], Raw]) -> None:
    """Nothing compressed was asked for: what expands to gigabytes stays the few bytes that it is, and is no JSON."""
    bomb = gzip.compress(b" " * (64 << 20))
    server = serve(saying(answer(bomb, "200 OK", "Content-Encoding: gzip", "Content-Type: application/json")))
    assert "no JSON" in str(failure(server))
    assert b"accept-encoding: identity" in server.asked[0].lower()


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"[" * 900 + b"]" * 900,
        b'{"error":' + b"[" * 900 + b"]" * 900 + b"}",
        b"1" * 100_000,
        b'[{"index": 0, "score": 1' + b"0" * 400 + b"}]",
        b'[{"index": [], "score": 1}]',
        b'[{"index": "a", "score": 1}, {"index": 0, "score": 1}]',
        b'{"model_id": [[]], "model_sha": "1"}',
        b'{"model_id": "a", "model_sha": "1", "model_dtype": {"a": [1]}}',
        b'"' + b"x" * 100_000 + b'"',
        b"\xff\xfe\x00",
        b"",
    ],
)
@pytest.mark.parametrize("status", ["200 OK", "400 Bad"])
def test_nonsense_of_any_shape(serve: Callable[[Say], Raw], content: bytes, status: str) -> None:
    """Nested a hundred thousand deep, numbers without end, other types: an EndpointError of a few lines."""
    server = serve(saying(answer(content, status)))
    for settings in ({}, {"id": None}):
        error = failure(server, **settings)
        assert isinstance(error, EndpointError)
        assert len(str(error)) < 1_000


def test_an_answer_that_breaks_off_is_asked_for_again(serve: Callable[[Say], Raw]) -> None:
    """Half of the announced bytes: another try, not "no JSON"."""
    said = [answer(SCORE)[:-5], answer(SCORE)]
    server = serve(lambda client, request: client.sendall(said.pop(0)))
    assert EndpointTeacher(server.url, id="x", retries=1).score(["q"], ["d"]).tolist() == [1.0]


def test_the_command_line_prints_no_token(
    serve: Callable[[Say], Raw], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """`hfneg mine` with a server that echoes: neither stdout nor stderr has it; the exit code is that of the error."""
    from typer.testing import CliRunner

    from hfneg.cli import app

    server = serve(lambda client, request: client.sendall(answer(echo(request).encode(), "500 Oh")))
    (tmp_path / "pairs.jsonl").write_text(
        '{"anchor": "a b", "positive": "b c"}\n{"anchor": "c d", "positive": "d e"}\n'
    )
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"teacher: EndpointTeacher('{server.url}', id='x', retries=0)\nk: 2\nsampler: TakeTop(2)\n"
        "filters: [Margin(absolute=0.0)]\n"
    )
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        done = CliRunner().invoke(
            app, ["mine", str(tmp_path / "pairs.jsonl"), "--recipe", str(recipe), "--out", str(tmp_path / "mined")]
        )
    assert done.exit_code == 4, done.output
    assert server.asked
    whole = done.output + done.stderr + out.getvalue() + err.getvalue()
    assert "answered 500" in whole
    assert TOKEN not in whole


def reranker(name: str) -> Say:
    """A server that knows its model, and scores texts by their length."""

    def say(client: socket.socket, request: bytes) -> None:
        body = request.partition(b"\r\n\r\n")[2]
        texts = json.loads(body)["texts"] if body else []
        info = {"model_id": name, "model_sha": "1" * 40}
        scores = [{"index": i, "score": len(text) / 100} for i, text in enumerate(texts)]
        client.sendall(answer(json.dumps(scores if texts else info).encode()))

    return say


def test_what_is_published_names_the_model_and_not_the_server(serve: Callable[[Say], Raw], tmp_path: Path) -> None:
    """No file of a dry run holds host, port or token; the model is as the server named it; `reproduce` asks for it."""
    server = serve(reranker("lab/reranker"))
    corpus = hfneg.Corpus.from_texts([f"alpha w{i} v{i * 7} u{i * 11}" for i in range(12)])
    rows = Dataset.from_list([{"q": f"alpha w{i}", "a": corpus.texts([i])[0].as_py()} for i in range(4)])
    recipe = hfneg.Recipe(k=7, teacher=EndpointTeacher(server.url), filters=[hfneg.Margin(absolute=0.0)])
    hfneg.mine(rows, corpus, recipe, out=tmp_path / "mined", anchor="q", positive="a")
    hfneg.publish(tmp_path / "mined", "org/x", dry_run=tmp_path / "dry", audit=False, formats=["rows"])
    files = [path for path in (tmp_path / "dry").rglob("*") if path.is_file()]
    for path in [*files, tmp_path / "mined" / "README.md"]:
        content = path.read_bytes()
        assert b"127.0.0.1" not in content, path
        assert f":{server.port}".encode() not in content, path
        assert TOKEN.encode() not in content, path
    card = (tmp_path / "dry" / "README.md").read_text()
    assert "EndpointTeacher(url='local:server')" in card
    assert "| EndpointTeacher | lab/reranker |" in card
    facts = json.loads((tmp_path / "dry" / "round-001" / "provenance.json").read_text())
    published = Provenance("org/x", "0" * 40, 1, facts)
    with pytest.raises(hfneg.InputError, match=r"server whose address is not published.*--model server=URL"):
        reproduce._recipe(published, {}, False)
    again = reproduce._recipe(published, {"server": server.url}, False)
    assert again.teacher == recipe.teacher
    reproduce._check_models(published, again)
    other = reproduce._recipe(published, {"server": serve(reranker("lab/other")).url}, False)
    with pytest.raises(hfneg.InputError, match="the model of EndpointTeacher is another one"):
        reproduce._check_models(published, other)


@pytest.mark.parametrize("name", ["/data/anna/reranker", "s3cr3t-token/of+somebody=1"])
def test_a_server_that_names_no_model(serve: Callable[[Say], Raw], tmp_path: Path, name: str) -> None:
    """A path is named by its last part; a server that calls its model by the token does not get it into a card."""
    server = serve(reranker(name))
    corpus = hfneg.Corpus.from_texts([f"alpha w{i} v{i * 7} u{i * 11}" for i in range(12)])
    rows = Dataset.from_list([{"q": f"alpha w{i}", "a": corpus.texts([i])[0].as_py()} for i in range(4)])
    recipe = hfneg.Recipe(k=7, teacher=EndpointTeacher(server.url), filters=[hfneg.Margin(absolute=0.0)])
    hfneg.mine(rows, corpus, recipe, out=tmp_path / "mined", anchor="q", positive="a")
    if name == TOKEN:
        with pytest.raises(hfneg.PublishError, match=r"a token or password of yours \(s3cr\.\.\.\)"):
            hfneg.publish(tmp_path / "mined", "org/x", dry_run=tmp_path / "dry", audit=False)
    else:
        hfneg.publish(tmp_path / "mined", "org/x", dry_run=tmp_path / "dry", audit=False)
        assert "| EndpointTeacher | reranker |" in (tmp_path / "dry" / "README.md").read_text()
