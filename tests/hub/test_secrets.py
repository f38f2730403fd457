"""No secret is published, printed or raised, known by its form or as one's own; and no other text is taken for one."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import logging
import random
import string
import traceback
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from datasets import Dataset
from rich.console import Console
from typer.testing import CliRunner

import hfneg
from hfneg.base import scrubbing
from hfneg.base.addresses import is_internal
from hfneg.base.credentials import usable_token
from hfneg.base.scrubbing import form_of, masked_example, scrub, scrubbed
from hfneg.cli.common import last_resort
from hfneg.errors import HfnegError, PublishError, SettingError
from hfneg.hub.repository import HubRepository, errors
from hfneg.hub.secrets import check_clean, check_files
from hfneg.runs.folder.card import without_paths

DRAW = random.Random(0)


def drawn(n: int, letters: str = string.ascii_letters + string.digits) -> str:
    return "".join(DRAW.choices(letters, k=n))


PASSWORD = "correct-horse"
UPPER, HEX = string.ascii_uppercase + string.digits, "0123456789abcdef"
JWT = ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (b'{"alg":"HS256"}', b'{"sub":"1234"}'))
SECRETS = {
    "Hugging Face": f"hf_{drawn(34, string.ascii_letters)}",
    "Hugging Face, organisation": f"api_org_{drawn(34, string.ascii_letters)}",
    "Hugging Face, short": f"hf_{drawn(20)}",
    "AWS": f"AKIA{drawn(16, UPPER)}",
    "AWS, for a session": f"ASIA{drawn(16, UPPER)}",
    "AWS, the other half": f"aws_secret_access_key = {drawn(40)}",
    "a header": f"Authorization: Basic {base64.b64encode(b'anna:' + drawn(12).encode()).decode()}",
    "Telegram": f"{drawn(10, string.digits)}:AA{drawn(33)}",
    "GitHub": f"ghp_{drawn(36)}",
    "GitHub, app": f"ghs_{drawn(36)}",
    "GitHub, fine-grained": f"github_pat_{drawn(22)}_{drawn(59)}",
    "OpenAI": f"sk-{drawn(48)}",
    "OpenAI, project": f"sk-proj-{drawn(40)}-{drawn(20)}",
    "Anthropic": f"sk-ant-api03-{drawn(60)}-{drawn(20)}AA",
    "Google": f"AIza{drawn(35)}",
    "Slack": f"xoxb-{drawn(12, string.digits)}-{drawn(24)}",
    "Slack, hook": f"https://hooks.slack.com/services/T{drawn(8, UPPER)}/B{drawn(8, UPPER)}/{drawn(24)}",
    "GitLab": f"glpat-{drawn(20)}",
    "npm": f"npm_{drawn(36)}",
    "PyPI": f"pypi-AgEIcHlwaS5vcmc{drawn(90)}",
    "Stripe": f"sk_live_{drawn(24)}",
    "private key": f"-----BEGIN RSA PRIVATE KEY-----\n{drawn(64)}\n{drawn(64)}\n-----END RSA PRIVATE KEY-----",
    "private key, OpenSSH": f"-----BEGIN OPENSSH PRIVATE KEY-----\n{drawn(70)}\n-----END OPENSSH PRIVATE KEY-----",
    "JSON web token": f"{JWT}.{drawn(43)}",
    "URL with password": f"https://anna:{PASSWORD}@example.org/x",
    "database": f"postgresql+psycopg://app:{PASSWORD}@db.example.org:5432/main",
    "bearer": f"Authorization: Bearer {drawn(32)}",
    "signed URL": f"https://bucket.s3.amazonaws.com/a?X-Amz-Date=1&X-Amz-Signature={drawn(64, HEX)}",
    "key in a URL": f"https://maps.example.org/v1?q=1&api_key={drawn(24)}",
}
AROUND = [
    "{}",
    "see {}.",
    "my_{}",
    "my-{}",
    "({})",
    '"{}"',
    "token={}",
    "é{}é",
    "path/{}/x",
    "%3D{}",
    "a\\n{}",
    "|{}|",
    "`{}`",
]

NATURAL = [
    "hf_transfer",
    "HF_HUB_ENABLE_HF_TRANSFER=1 pip install hf_xet hf_transfer",
    "hf_hub_download_something_long_name(repo_id)",
    "from my_hf_utilities_for_long_names import hf_datasets_server_client_for_everybody",
    "hf_averyverylongidentifierindeed_of_mine",
    hashlib.sha256(b"x").hexdigest(),
    hashlib.sha512(b"x").hexdigest(),
    hashlib.sha1(b"x").hexdigest(),
    str(uuid.UUID(int=2**127 + 12345)),
    "data:image/png;base64," + base64.b64encode(DRAW.randbytes(200_000)).decode(),
    "data:application/octet-stream;base64," + base64.urlsafe_b64encode(DRAW.randbytes(200_000)).decode(),
    "risk-averse-and-long-hyphenated-compound desk-bound-administrative-assistants",
    "sk-learn, sk-something-that-is-a-slug-of-an-article, task-oriented-dialogue-systems",
    "npm_config_registry npm_lifecycle_event pypi-server pypi-attestations",
    "The bearer of this letter; bearer bonds; a pall-bearer.",
    "Authorization: the act of authorizing somebody.",
    "AKIA is the name of a lake; AKIARA too.",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
    "https://example.org:8080/a@b?q=1&page=2&token=3 http://host:80/~user/ https://medium.com/@somebody/story-1234",
    "https://{user}:{password}@host or https://<user>:<password>@host or https://$USER:$PASSWORD@host",
    "Ratio 3:4@noon, mail me: somebody@example.org, ssh://git@github.com/org/name",
    "eyJ is how many of them begin. eyJhbGci is longer.",
    "ghp_ and gho_ are prefixes, as is xoxb- and AIza and glpat-.",
    "Linux keeps homes in /home/user and /root; Windows in C:\\Users\\user. cd /usr/local/bin; cat /etc/passwd",
    "密码 пароль token ключ: это не секрет",
    "",
]


# By their forms.


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_known_by_its_form(kind: str, around: str) -> None:
    """Inside a longer name, in quotes, behind a written line break: found, and no piece of it left in a message."""
    text = around.format(SECRETS[kind])
    assert form_of(text) is not None
    piece = PASSWORD if PASSWORD in text else max(SECRETS[kind].split(), key=len)[-12:]
    assert piece not in scrubbing.masked(text)
    assert piece not in scrub(text)
    assert scrub(scrub(text)) == scrub(text)


@pytest.mark.parametrize("text", NATURAL, ids=range(len(NATURAL)))
def test_natural_texts_are_left_alone(text: str, tmp_path: Path) -> None:
    """Long names, digests, ids, images, slugs, prefixes, placeholders: no secret, and published."""
    assert form_of(text) is None
    assert scrubbing.masked(text) == text
    pq.write_table(pa.table({"text": [text]}), tmp_path / "file.parquet")
    check_files({"corpus/file.parquet": tmp_path / "file.parquet"})


def test_arrow_and_python_find_the_same() -> None:
    """The pattern means the same to RE2 and to `re`, also beside letters that are not ASCII and in large texts."""
    import pyarrow.compute as pc

    texts = [around.format(secret) for around in AROUND for secret in SECRETS.values()] + NATURAL
    found = pc.match_substring_regex(pa.array(texts), scrubbing.ANY).to_pylist()
    assert found == [form_of(text) is not None for text in texts]


# In files.


def written(folder: Path, values: Any, kind: pa.DataType | None = None, column: str = "text") -> dict[str, Path]:
    path = folder / "file.parquet"
    pq.write_table(pa.table({"n": pa.array(range(len(values))), column: pa.array(values, kind)}), path)
    return {"corpus/file.parquet": path}


T = "{token}"
SHAPES: dict[str, tuple[Any, pa.DataType | None]] = {
    "text": ([None, "a", T], None),
    "large text": ([None, "a", T], pa.large_string()),
    "dictionary": (["a", "a", T], pa.dictionary(pa.int32(), pa.string())),
    "list": ([["a"], [], [None, "b", T]], None),
    "large list": ([["a"], [], ["b", T]], pa.large_list(pa.string())),
    "list of lists": ([[["a"]], [], [[], ["b", T]]], None),
    "struct": ([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3, "b": T}], None),
    "list of structs": ([[{"b": "x"}], [], [{"b": "x"}, {"b": T}]], None),
    "map": ([[("k", "v")], [], [("k", T)]], pa.map_(pa.string(), pa.string())),
    "key of a map": ([[("k", "v")], [], [(T, "v")]], pa.map_(pa.string(), pa.string())),
    "bytes": ([None, b"\xff\x00", b"\xff\x00" + T.encode()], None),
    "lists of large bytes": ([[b"a"], [], [b"b", T.encode()]], pa.list_(pa.large_binary())),
    "dictionary in lists": ([["a"], ["a"], [T]], pa.list_(pa.dictionary(pa.int32(), pa.string()))),
}


def put(value: Any, token: str) -> Any:
    if isinstance(value, bytes):
        return value.replace(T.encode(), token.encode())
    if isinstance(value, str):
        return token if value == T else value
    if isinstance(value, dict):
        return {key: put(inner, token) for key, inner in value.items()}
    return type(value)(put(inner, token) for inner in value) if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("shape", SHAPES)
def test_every_column_with_texts_is_read(tmp_path: Path, shape: str) -> None:
    """The message names file, row, column and kind, and shows four characters; allow_secrets lets it through."""
    values, kind = SHAPES[shape]
    token = SECRETS["GitHub"]
    files = written(tmp_path, put(values, token), kind)
    with pytest.raises(
        PublishError, match=r"^corpus/file.parquet, row 2 .*'text', holds a token of GitHub \(ghp_\."
    ) as e:
        check_files(files)
    assert token[:6] not in str(e.value)
    assert "--allow-secrets" in str(e.value)
    check_files(files, allow=True)
    check_files(written(tmp_path, put(values, "ghp"), kind))


def test_rows_far_down_and_metadata(tmp_path: Path) -> None:
    """A row behind many batches is counted right; what a schema says beside the columns is read too."""
    files = written(tmp_path, ["a"] * 70_000 + [SECRETS["AWS"]])
    with pytest.raises(PublishError, match="row 70000 "):
        check_files(files)
    table = pa.table({"a": [1]}).replace_schema_metadata({"info": json.dumps({"from": f"https://{SECRETS['npm']}/"})})
    pq.write_table(table, tmp_path / "file.parquet")
    with pytest.raises(PublishError, match="the metadata 'info', holds a token of npm"):
        check_files({"x.parquet": tmp_path / "file.parquet"})
    (tmp_path / "x.svg").write_text(f"<svg>\n{SECRETS['npm']}</svg>")
    with pytest.raises(PublishError, match=r"x\.svg, line 2, holds a token of npm"):
        check_files({"x.svg": tmp_path / "x.svg"})


OWN = "no-form-at-all/çé"


@pytest.mark.parametrize(
    "name", ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HFNEG_ENDPOINT_TOKEN", "WANDB_API_KEY", "login"]
)
def test_ones_own_token_is_refused_whatever_its_form(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the environment or the stored login; also where secrets are allowed, and shown as four characters."""
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    if name == "login":
        (tmp_path / "token").write_text(OWN + "\n")
    else:
        monkeypatch.setenv(name, OWN)
    files = written(tmp_path, ["a", f"so it is {OWN}."])
    for allow in (False, True):
        with pytest.raises(PublishError, match=r"row 1 .*a token or password of yours \(no-f\.\.\.\)") as caught:
            check_files(files, allow=allow)
        assert "--allow-secrets" not in str(caught.value)
    with pytest.raises(PublishError, match="the YAML of the card would hold a token or password of yours"):
        check_clean({"the YAML": {"a": [{"b": OWN}]}})
    assert OWN not in masked_example(f"a {OWN} b")
    for said in (OWN, repr(OWN), ascii(OWN), json.dumps(OWN), "no-form-at-all%2F%C3%A7%C3%A9"):
        assert "no-form" not in str(HfnegError(f"it said {said}!"))


@pytest.mark.parametrize("user", ["", "u:", "me:", "anna:"])
def test_a_token_of_ones_own_in_other_clothes(user: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands in a URL, in JSON, and in base64 behind a name of any length: in data, and in what is said."""
    own = "own/tok+en=ABCDEFGH1234"
    monkeypatch.setenv("HFNEG_ENDPOINT_TOKEN", own)
    coded = base64.b64encode(f"{user}{own}!".encode()).decode()
    for way in (quote(own, safe=""), json.dumps(own), coded, coded.replace("+", "-").replace("/", "_")):
        with pytest.raises(PublishError, match="a token or password of yours"):
            check_files(written(tmp_path, ["a", f"so: {way} it is"]), allow=True)
        assert way not in str(HfnegError(f"it said Basic {way}"))


def test_every_stored_login_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`hf auth login` keeps several by name; and HF_TOKEN_PATH says where."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "stored_tokens").write_text(
        "[work]\nhf_token = work-token-1\n\n[home]\nhf_token = home-token-2\n"
    )
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "mine" / "token"))
    assert scrub("work-token-1 home-token-2 hf_token") == "*** *** hf_token"


def test_folders_of_this_machine_in_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One's home is refused in the data, another's in a manual is not; nor is one that only begins like it."""
    monkeypatch.setenv("HOME", "/home/annabel")
    with pytest.raises(PublishError, match=r"holds a folder of this machine \(/hom\.\.\.\).*--allow-secrets"):
        check_files(written(tmp_path, ["see /home/annabel/data/x.txt"]))
    check_files(written(tmp_path, ["see /home/annabel/data"]), allow=True)
    check_files(written(tmp_path, ["cd /home/user, /home/annabella, /home/annabel-2; /root/x"]))
    monkeypatch.setenv("HOME", "/root")
    check_files(written(tmp_path, ["cd /root/x"]))


# In the card.


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        *((secret, "") for secret in SECRETS.values()),
        ("/home/anna/models/x", "a local path"),
        ("model at /nfs/team/anna/x", "a local path"),
        ("~/models", "a local path"),
        ("~anna/models", "a local path"),
        ("file:///etc/x", "a local path"),
        (r"C:\Users\anna\x", "a local path"),
        ("D:/data/anna", "a local path"),
        (r"\\server\share\x", "a local path"),
        ("anna@gpu-box:/data/x", "a local path"),
        ("http://10.1.2.3:8080", "a private network"),
        ("http://8.8.8.8", "a private network"),
        ("http://[fe80::1]:80/x", "a private network"),
        ("http://localhost:8080", "a private network"),
        ("https://reranker", "a private network"),
        ("https://rerank.ml.svc.cluster.local/x", "a private network"),
        ("https://gpu.corp.internal", "a private network"),
    ],
)
@pytest.mark.parametrize("shape", [lambda t: t, lambda t: {"a": [t]}, lambda t: {t: 1}])
def test_what_the_card_refuses(text: str, kind: str, shape: Callable[[str], Any]) -> None:
    """As body, as value and as key; the message shows four characters of it and no more."""
    with pytest.raises(PublishError, match=kind or "would hold") as caught:
        check_clean({"the YAML": shape(text)})
    assert text[:12] not in str(caught.value)


def test_what_the_card_may_hold() -> None:
    """Hub ids, patterns of files, web addresses, versions, HTML, fractions."""
    fine = "org/name at https://huggingface.co/datasets/org/name/tree/0123abc, round-001/ids/train-*.parquet, 3/4/5, "
    fine += "<td>a</td></tr>, https://reranker.example.com:443/v1/x, inference 1.9, a@b.org, C: x, and/or/both"
    check_clean({"the body": fine, "the YAML": {"a": fine, "n": 1.5, "none": None, "list": [True, fine]}})


@pytest.mark.parametrize(
    ("url", "internal"),
    [
        ("http://127.0.0.1:8080", True),
        ("http://[::1]:80", True),
        ("http://192.168.0.7", True),
        ("http://34.1.2.3:8080", True),
        ("http://gpu-box:8080/v1", True),
        ("http://tei.default.svc:80", True),
        ("http://x.LOCAL", True),
        ("http://[bad", True),
        ("https://abc.us-east-1.aws.endpoints.huggingface.cloud", False),
        ("https://api.example.com/v1", False),
    ],
)
def test_addresses_of_private_networks(url: str, internal: bool) -> None:
    """Numbers, names without a dot and private endings stay at home; a public name is part of the provenance."""
    assert is_internal(url) == internal
    recipe = f"teacher: EndpointTeacher(url='{url}', model='a/b')"
    assert without_paths(recipe) == (recipe.replace(url, "local:server") if internal else recipe)


def test_two_servers_stay_two() -> None:
    """Each address gets a name of its own, the same one wherever it stands, which `reproduce` asks for."""
    one, two = "http://10.0.0.1:80", "http://gpu:80"
    text = f"MeanOfTeachers([EndpointTeacher('{one}'), EndpointTeacher('{two}'), EndpointTeacher('{one}')])"
    wanted = text.replace(one, "local:server").replace(two, "local:server-2")
    assert without_paths(text) == wanted


# From end to end.


def mined(folder: Path, text: str) -> Path:
    """A mined folder whose anchors, positives and documents hold `text`."""
    draw = random.Random(1)
    words = [f"{text} alpha " + " ".join(f"w{draw.randrange(400)}" for _ in range(30)) for i in range(12)]
    pairs = [{"q": f"{text} " + " ".join(words[i].split()[-6:]), "a": words[i]} for i in range(4)]
    hfneg.mine(
        Dataset.from_list(pairs),
        hfneg.Corpus.from_texts(words),
        hfneg.Recipe(k=7),
        out=folder,
        anchor="q",
        positive="a",
    )
    return folder


def everything(folder: Path) -> str:
    """All bytes below a folder; tables as their values."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".parquet":
            found.append(str(pq.read_table(path).to_pylist()))
        elif path.is_file():
            found.append(path.read_bytes().decode("utf-8", "replace"))
    return html.unescape("".join(found))


def test_allowed_secrets_are_published_and_not_shown(tmp_path: Path) -> None:
    """On purpose they go into the data, and neither into card nor provenance; a user's name in a path neither."""
    token, home = SECRETS["AWS"], "/home/annabel/x"
    folder = mined(tmp_path / "mined", f"{token} {home}")
    with pytest.raises(PublishError, match="a key of AWS"):
        hfneg.publish(folder, "org/x", dry_run=tmp_path / "dry", audit=False)
    assert not (tmp_path / "dry").exists()
    hfneg.publish(
        folder, "org/x", dry_run=tmp_path / "dry", audit=False, allow_secrets=True, formats=["triplets", "rows"]
    )
    card = html.unescape((tmp_path / "dry" / "README.md").read_text())
    assert "| positive | *** /home/***/x alpha" in card
    for path in (tmp_path / "dry").rglob("*"):
        if path.is_file() and path.suffix != ".parquet":
            assert token not in html.unescape(path.read_text())
            assert "annabel" not in path.read_text()
    assert token in everything(tmp_path / "dry")
    assert token not in html.unescape((folder / "README.md").read_text())


def test_a_secret_that_is_cut_is_none(tmp_path: Path) -> None:
    """A token that reaches over the end of what the card shows is masked before the text is cut."""
    token = SECRETS["Hugging Face"]
    folder = mined(tmp_path / "mined", "x" * 220 + f" {token}")
    hfneg.publish(folder, "org/x", dry_run=tmp_path / "dry", audit=False, allow_secrets=True)
    card = html.unescape((tmp_path / "dry" / "README.md").read_text())
    assert token[:12] not in card
    assert f"| positive | {'x' * 220} *** alpha" in card


def test_the_command_line_of_it(tmp_path: Path) -> None:
    """`hfneg push` refuses with exit code 4, prints four characters, and takes --allow-secrets."""
    from hfneg.cli import app

    token = SECRETS["Anthropic"]
    folder, look = mined(tmp_path / "mined", token), tmp_path / "look"
    given = ["push", str(folder), "org/x", "--no-audit", "--dry-run", str(look)]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 4
    assert "a key of Anthropic (sk-a...)" in " ".join(done.output.split())
    assert token[:10] not in done.output
    assert not look.exists()
    done = CliRunner().invoke(app, [*given, "--allow-secrets"])
    assert done.exit_code == 0
    assert token[:10] not in done.output
    assert look.exists()


def test_a_round_that_is_not_the_newest_is_looked_at_too(tmp_path: Path) -> None:
    """Its provenance is no part of the card, and is published all the same."""
    from hfneg.hub.card import Place, write_card
    from hfneg.hub.known import KnownRounds, PublishedRound
    from hfneg.hub.terms import Decision
    from hfneg.runs.folder.card import Readme

    def found(number: int) -> PublishedRound:
        facts = {"round": number, "tag": f"round-{number:03d}", "content": "0", "configs": [], "counts": {}}
        return PublishedRound({**facts, "datasets": [], "recipe": f"k: {SECRETS['npm']}" if number == 1 else ""}, ())

    place = Place("org/x", Readme(), KnownRounds({1: found(1), 2: found(2)}), [], None)
    with pytest.raises(PublishError, match="the YAML of the card would hold a token of npm"):
        write_card(place, tmp_path, {}, 1, Decision({}))


def test_what_is_refused_leaves_no_repository(tmp_path: Path, client: Callable[..., Any], hub: Any) -> None:
    """Nothing is sent where the data hold a secret: the Hub is only read."""
    folder = mined(tmp_path / "mined", SECRETS["Google"])
    with pytest.raises(PublishError, match="a key of Google"):
        client(hfneg.publish, folder, "org/no-leaks", audit=False)
    assert ("dataset", "org/no-leaks") not in hub.repositories


# In what is said.


def whole(error: BaseException) -> str:
    return "".join(traceback.format_exception(type(error), error, error.__traceback__)) + repr(error)


@pytest.mark.parametrize("token", ["first-half\nsecond-half", "first-half-ключ-second-half", "first half second-half"])
def test_a_hub_token_that_no_header_holds(token: str) -> None:
    """`token=` is refused by place and kind of the character, before the Hub is asked."""
    with pytest.raises(SettingError, match=r"token= is no token: character \d+ of \d+ is") as caught:
        HubRepository("org/name", None, token)
    for piece in ("first-half", "second-half", "ключ"):
        assert piece not in whole(caught.value)
    assert usable_token(" good-token\n", "token=") == "good-token"
    assert usable_token("", "token=") is usable_token(None, "token=") is None


def fault_of(message: str, *, status: int = 500) -> BaseException:
    """As the client of the Hub raises it: its own error, with causes that speak of the connection."""
    try:
        try:
            raise ConnectionError(f"GET https://me:{OWN}@host/x?token={OWN} failed: {message}")
        except ConnectionError as error:
            raise OSError(5, f"lost: {message}") from error
    except OSError as error:
        return error


def test_errors_of_the_hub_are_scrubbed_with_their_causes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message, and every message of the chain that a traceback prints."""
    monkeypatch.setenv("HF_TOKEN", OWN)
    said = f"{OWN} Authorization: Bearer abc123 {SECRETS['JSON web token']} https://s3/a?X-Amz-Signature=0123"
    with pytest.raises(PublishError) as caught, errors("org/name"):
        raise fault_of(said)
    shown = whole(caught.value) + repr(caught.value.__cause__) + repr(caught.value.__cause__.__cause__)  # type: ignore[union-attr]
    for piece in ("no-form", "abc123", SECRETS["JSON web token"][-20:], "0123"):
        assert piece not in shown
    assert isinstance(caught.value.__cause__, OSError)


def test_a_dataset_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `datasets` says of a connection, as an error of ours, and behind it."""
    import datasets

    monkeypatch.setenv("HF_TOKEN", OWN)

    def fail(*_: Any, **__: Any) -> None:
        raise fault_of(f"server said {OWN}")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(HfnegError, match="cannot be loaded") as caught:
        hfneg.load_pairs("org/name")
    assert "no-form" not in whole(caught.value)


class OddError(Exception):
    """Makes its text of something else than its arguments."""

    def __str__(self) -> str:
        return f"odd {OWN}"


def test_an_error_with_a_text_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is replaced by one that says its kind; groups, notes and circles are gone through."""
    monkeypatch.setenv("HF_TOKEN", OWN)
    first, second = ValueError(OWN), KeyError(OWN)
    first.__cause__, second.__context__ = second, first
    first.__notes__ = [f"note {OWN}"]  # type: ignore[attr-defined]
    assert "no-form" not in whole(scrubbed(first))
    outer = ValueError("outer")
    outer.__context__ = OddError()
    shown = whole(scrubbed(outer))
    assert "no-form" not in shown
    assert "OddError: odd ***" in shown
    assert str(scrubbed(OddError())) == "OddError: odd ***"


def test_messages_keep_all_but_secrets() -> None:
    """An error of hfneg whose words hold none says what it was given, and pickles."""
    import pickle

    for text in NATURAL:
        if "http" not in text and "://" not in text:
            assert str(HfnegError(text)) == text
    error = pickle.loads(pickle.dumps(hfneg.MissingExtraError(f"needs {SECRETS['npm']}")))
    assert str(error) == "needs ***"
    assert HfnegError("a", 1, None).args == ("a", 1, None)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("https://u:p@ssw0rd@host/x", "https://***@host/x"),
        ("redis://:ssw0rd@host", "redis://***@host"),
        ("{'user': 'u', 'password': 'ssw0rd'}", "{'user': 'u', 'password': '***'}"),
        ('{"api_key": "ssw0rd ssw0rd"}', '{"api_key": "***"}'),
        ("connect(token='ssw0rd', n=1)", "connect(token='***', n=1)"),
        ("https://host/cb#access_token=ssw0rd&n=1", "https://host/cb#access_token=***&n=1"),
        ("Cookie: session=ssw0rd; b=ssw0rd\nHost: h", "Cookie: ***\nHost: h"),
        ("proxy-authorization: Basic ssw0rdssw0rd", "proxy-authorization: Basic ***"),
        ("b'Bearer ssw0rd'", "b'Bearer ***'"),
        ("NO-FORM-AT-ALL%2f%c3%a7%C3%A9", "***"),
        ("BM25(tokenizer='a/b'): pass token=None, token=True; is no token: character 3", None),
        ("HFNEG_ENDPOINT_TOKEN is no token; token= is none; key='a/b', secrets", None),
    ],
)
def test_what_a_message_does_not_say(said: str, kept: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Users, passwords, named values, headers; once more changes nothing."""
    monkeypatch.setenv("HF_TOKEN", OWN)
    assert str(HfnegError(said)) == (said if kept is None else kept)
    assert scrub(scrub(said)) == scrub(said)


def test_the_last_resort(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An error that nobody foresaw: its traceback is printed without the token; without one it goes on as it is."""
    monkeypatch.setenv("HF_TOKEN", OWN)
    console = Console(stderr=True)
    with pytest.raises(typer.Exit) as ended, last_resort.unforeseen(console):
        raise RuntimeError("boom") from fault_of(f"server said {OWN}")
    shown = capsys.readouterr().err
    assert ended.value.exit_code == 1
    assert "RuntimeError: boom" in shown
    assert "Traceback (most recent call last)" in shown
    assert "no-form" not in shown
    with pytest.raises(ZeroDivisionError), last_resort.unforeseen(console):
        _ = 1 / 0


def test_lines_that_are_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line's log passes the scrubber, arguments too."""
    monkeypatch.setenv("HF_TOKEN", OWN)
    record = logging.LogRecord("hfneg", logging.INFO, "", 1, "%s said %s", ("https://u:p@h", OWN), None)
    assert scrubbing.scrubbed_line(record)
    assert record.getMessage() == "https://***@h said ***"
