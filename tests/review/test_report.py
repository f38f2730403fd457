"""`hfneg.report` and ``hfneg report``: the page, in a real browser where there is one."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from browser import Browser, browser  # noqa: F401
from command import hfneg as command, one_line
from datasets import Dataset
from small_collection import documents, pairs
from word_teacher import WordTeacher

import hfneg
from hfneg.review.report.drawing import share
from hfneg.runs.folder import mined as mined_folder, statistics as statistics_of
from hfneg.runs.folder.browse import entries
from hfneg.runs.folder.judgement import judge
from hfneg.runs.folder.ledger_files import MinedLedger

NAMES = {"anchor": "query", "positive": "answer"}
HOSTILE = [
    "<script>window.hacked = 1</script> fault slip",
    "</script><script>window.hacked = 1</script> fault wave",
    "</style><style>body { display: none }</style> fault rock",
    "<!-- <script> fault melt",
    '"><img src=x onerror="window.hacked = 1"> fault crust',
    "fault \u2028 plate \u2029 &lt;b&gt; &amp; {{ 7 * 7 }} {% raw %}",
]
RECIPE = hfneg.Recipe(
    retrievers=[hfneg.BM25(), hfneg.RandomDocuments()],
    k=15,
    teacher=WordTeacher(),
    filters=[hfneg.RankWindow(skip=1), hfneg.Margin(relative=0.1)],
    sampler=hfneg.TakeTop(4),
)


def collection() -> tuple[Dataset, hfneg.Corpus]:
    """The small collection, and anchors, documents and ids that try to become markup."""
    rows = pairs().select_columns(["query", "answer"])
    hostile = [{"query": f"fault {text}", "answer": text} for text in HOSTILE]
    texts = [*documents(), *HOSTILE]
    ids = [f"<i>{i}</i>" if i % 2 else f'd{i}"' for i in range(len(texts))]
    return (
        Dataset.from_list([*rows.to_list(), *hostile]),
        hfneg.Corpus.from_dataset(({"id": id, "text": text} for id, text in zip(ids, texts, strict=True)), id="id"),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose name is markup, too."""
    out = tmp_path_factory.mktemp("report") / "<b>round & 2"
    rows, corpus = collection()
    hfneg.mine(rows, corpus, RECIPE, out=out, **NAMES)
    return out


@pytest.fixture(scope="module")
def earlier(folder: Path) -> Path:
    """Another round over the same pairs, in which anchors are short."""
    out = folder.parent / "round 1"
    rows, corpus = collection()
    recipe = hfneg.Recipe(k=6, filters=[hfneg.Margin(relative=0.3)], sampler=hfneg.TakeTop(4))
    hfneg.mine(rows, corpus, recipe, out=out, **NAMES)
    return out


@pytest.fixture(scope="module")
def page(folder: Path, earlier: Path) -> Path:
    return hfneg.report(folder, folder.parent / "page.html", against=earlier)


def data_of(page: Path) -> dict[str, Any]:
    """The sample that the page carries."""
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.DOTALL)
    data: dict[str, Any] = json.loads(text)
    return data


def ledger_of(folder: Path) -> dict[str, dict[str, Any]]:
    (path,) = (folder / "ledger").glob("*.parquet")
    return {row["anchor"]: row for row in pq.read_table(path).to_pylist()}


# What the page says.


def test_sample_against_the_ledger(folder: Path, page: Path) -> None:
    """All anchors of a small folder, each with its positives, negatives and rejected as the ledger has them."""
    data, rows = data_of(page), ledger_of(folder)
    corpus = hfneg.Corpus(hfneg.open_summary(folder)["corpus"])
    assert {entry["text"] for entry in data["entries"]} == set(rows)
    for entry in data["entries"]:
        row = rows[entry["text"]]
        verdicts = [data["verdicts"][str(code)]["name"] for code in row["verdicts"]]
        assert {data["verdicts"][str(code)]["name"]: n for code, n in entry["counts"]} == {
            name: verdicts.count(name) for name in set(verdicts)
        }
        expected = [
            [
                document,
                code,
                rank,
                pytest.approx(score, rel=1e-3),
                taught and pytest.approx(taught, rel=1e-3),
                [one, two],
            ]
            for rank, (document, code, score, taught, one, two) in enumerate(
                zip(
                    *(row[name] for name in ("rows", "verdicts", "scores", "teacher_scores", "bm25_ranks")),
                    row["random_ranks"],
                    strict=True,
                ),
                1,
            )
            if data["verdicts"][str(code)]["name"] not in ("spare", "not_examined", "known_positive")
        ]
        rejected = [one for one in expected if data["verdicts"][str(one[1])]["group"] == "rejected"]
        left_out = rejected[entries.OTHERS :]
        assert entry["candidates"] == [one for one in expected if one not in left_out]
        assert entry["left_out"] == [0, len(left_out)]
        assert sorted(one[0] for one in entry["positives"]) == sorted(row["positive_rows"])
        assert entry["short"] == (entry["negatives"] < 4)
    for row, (id, text, left) in data["documents"].items():
        assert (id, text, left) == (corpus.ids([int(row)])[0], corpus.texts([int(row)])[0].as_py(), 0)


def test_the_funnel_leaves_spare_out(tmp_path: Path) -> None:
    """Candidates that nobody looked at, because enough came before them, would hide all others."""
    rows, corpus = collection()
    hfneg.mine(rows, corpus, hfneg.Recipe(k=15, sampler=hfneg.TakeTop(2)), out=tmp_path / "mined", **NAMES)
    text = hfneg.report(tmp_path / "mined").read_text()
    found = statistics_of.of(MinedLedger(tmp_path / "mined"))
    spare, negatives = found.verdicts["spare"], found.negatives
    looked_at = found.candidates - spare
    assert spare > negatives
    assert f"{looked_at:,} (of {found.candidates:,}: {spare:,} spare)" in text
    known = found.verdicts["known_positive"]
    assert re.search(rf"\u2212{known:,} \({share(known, looked_at)}\), {looked_at - known:,} left", text)


def test_a_sample_is_drawn_by_texts(folder: Path, earlier: Path, tmp_path: Path) -> None:
    """Two rounds show the same anchors, another seed others; the page says that it is a sample."""
    shown = {}
    for name, mined, seed in (("one", folder, 0), ("two", earlier, 0), ("three", folder, 1)):
        path = hfneg.report(mined, tmp_path / f"{name}.html", sample=9, seed=seed)
        shown[name] = [entry["text"] for entry in data_of(path)["entries"]]
        anchors = len(ledger_of(mined))
        assert f"A sample: 9 of {anchors} anchors, drawn by a hash of their texts (seed {seed})" in path.read_text()
    assert shown["one"] == shown["two"]
    assert len(shown["one"]) == 9
    assert set(shown["one"]) != set(shown["three"])


def test_numbers_on_the_page(folder: Path, earlier: Path, page: Path) -> None:
    """Totals, the funnel, the examined prefix, hubs and the advice are those of the folder."""
    text = page.read_text()
    found = statistics_of.of(MinedLedger(folder))
    assert f"{found.negatives:,} hard negatives for {found.anchors:,} anchors" in text
    left = found.candidates
    assert found.verdicts["spare"] == 0
    for name in ("known_positive", "own_text", "near_positive", "repeat", "rank_window", "margin", "not_examined"):
        if found.verdicts.get(name):
            left -= found.verdicts[name]
            assert re.search(rf"\u2212{found.verdicts[name]:,} \([\d.<>%]+\), {left:,} left", text), name
    assert left == found.negatives
    assert f"asked about {found.examined:,} of {found.candidates:,} candidates" in text
    assert f'<td class="number">{found.hubs[0].anchors:,}</td>' in text
    advice = hfneg.diff(earlier, folder).advice
    assert f"{advice[0].upper()}{advice[1:]}." in text
    assert "&lt;b&gt;round &amp; 2" in text


def test_statistics_are_written_while_mining(folder: Path, tmp_path: Path) -> None:
    """`statistics.json` holds what the ledger gives; read where it is of this ledger, else counted anew."""
    copy = shutil.copytree(folder, tmp_path / "copy")
    kept = json.loads((copy / statistics_of.FILE).read_text())
    del kept["checksum"]  # without it, it is read as it is
    (copy / statistics_of.FILE).unlink()
    assert statistics_of.of(MinedLedger(copy)).as_dict() == statistics_of.of(MinedLedger(folder)).as_dict()
    (copy / statistics_of.FILE).write_text(json.dumps({**kept, "used": 12345}))
    assert statistics_of.of(MinedLedger(copy)).used == 12345
    (copy / statistics_of.FILE).write_text(json.dumps({**kept, "used": 12345, "ledger": {}}))
    assert statistics_of.of(MinedLedger(copy)).used == kept["used"] < 12345


def test_nothing_but_itself(page: Path) -> None:
    """No address, no inline style or handler, and a policy that allows this style and this script alone."""
    text = page.read_text()
    outside = re.sub(r'<script type="application/json".*?</script>', "", text, flags=re.DOTALL)
    assert not re.search(r"(https?:)?//[a-z]|url\(|@import|\sstyle=|\son[a-z]+=\"", outside)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    for tag, name in (("style", "style-src"), ("script", "script-src")):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in policy.group(1)
    assert "default-src 'none'" in policy.group(1)
    assert "unsafe" not in policy.group(1)


def test_without_the_corpus(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the store lost it, texts come from the rows where these have them, and the page says so."""
    whole = data_of(hfneg.report(folder, tmp_path / "whole.html"))
    monkeypatch.setenv("HFNEG_STORE", str(tmp_path / "empty"))
    path = hfneg.report(folder, tmp_path / "page.html")
    assert "The store no longer has the corpus" in path.read_text()
    data = data_of(path)
    negatives, others = 0, 0
    for entry in data["entries"]:
        for document, code, *_ in entry["candidates"]:
            id, text, _ = data["documents"][str(document)]
            if data["verdicts"][str(code)]["group"] == "negative" and text is not None:
                negatives += 1
            others += text is None
            assert [id, text] in (whole["documents"][str(document)][:2], ["positive", text], [f"row {document}", None])
            assert text in (None, whole["documents"][str(document)][1])
    assert negatives > 0.8 * hfneg.open_summary(folder)["negatives"]
    assert others > 0
    _, corpus = collection()
    again = hfneg.report(folder, tmp_path / "again.html", corpus=corpus)
    assert data_of(again)["documents"] == whole["documents"]


def test_long_texts_are_cut_to_keep_it_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts are cut until the sample is below its limit, then anchors are left out; the page says both."""
    texts = [f"fault {i} " + "</script>\u2028<&" * 200 for i in range(60)]
    rows = Dataset.from_dict({"query": [f"fault {i}" for i in range(30)], "answer": texts[:30]})
    recipe = hfneg.Recipe(retrievers=[hfneg.RandomDocuments()], k=15, sampler=hfneg.TakeTop(7))
    hfneg.mine(rows, texts, recipe, out=tmp_path / "mined", **NAMES)
    for limit, anchors in ((100_000, 30), (20_000, 15)):
        monkeypatch.setattr(entries, "LIMIT", limit)
        page = hfneg.report(tmp_path / "mined", tmp_path / f"{limit}.html")
        data = data_of(page)
        assert len(re.findall('id="data">(.*?)</script>', page.read_text(), re.DOTALL)[0]) < limit + 3_000
        assert len(data["entries"]) == anchors
        (length,) = {len(text) for _, text, _ in data["documents"].values()}
        assert length < entries.LENGTHS[0]
        assert f"Texts are cut to {length} characters" in page.read_text()
        assert (f"A sample: {anchors} of 30 anchors" in page.read_text()) == (anchors < 30)
        assert all(len(text) + left == len(texts[int(row)]) for row, (_, text, left) in data["documents"].items())


# Bad input.


def test_refused(folder: Path, tmp_path: Path) -> None:
    """A folder that is not mined, a file that is there, a sample that is none; nothing is written."""
    out = tmp_path / "page.html"
    with pytest.raises(hfneg.InputError, match="no mined folder"):
        hfneg.report(tmp_path, out)
    for sample in (0, 5000, 1.5):
        with pytest.raises(hfneg.SettingError, match="1 to 2000"):
            hfneg.report(folder, out, sample=sample)
    with pytest.raises(hfneg.SettingError, match="seed"):
        hfneg.report(folder, out, seed=-1)
    with pytest.raises(hfneg.OutputError, match="is a folder"):
        hfneg.report(folder, tmp_path)
    with pytest.raises(hfneg.OutputError, match="there is no folder"):
        hfneg.report(folder, tmp_path / "nowhere" / "page.html")
    assert list(tmp_path.iterdir()) == []
    out.write_text("mine")
    with pytest.raises(hfneg.OutputExistsError, match="overwrite"):
        hfneg.report(folder, out)
    assert out.read_text() == "mine"


def test_beside_the_folder(folder: Path, earlier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own page lies beside it and is replaced; a file of somebody else, or of another folder, is not."""
    mined = tmp_path / 'a "b" & c'
    shutil.copytree(folder, mined)
    page = hfneg.report(mined, sample=2)
    assert page == tmp_path / 'a "b" & c-report.html'
    assert len(data_of(page)["entries"]) == 2
    monkeypatch.chdir(mined)
    assert hfneg.report(".", sample=3) == page
    assert len(data_of(page)["entries"]) == 3
    command("report", mined, "--sample", 4, "-q")
    assert len(data_of(page)["entries"]) == 4
    other = shutil.copytree(folder, tmp_path / "other")
    before = page.read_bytes()
    with pytest.raises(hfneg.OutputExistsError, match="no report of this folder"):
        hfneg.report(other, page)
    assert page.read_bytes() == before
    assert not list(mined.glob("*.html"))


def test_it_opens_with_a_judgement(folder: Path, page: Path, tmp_path: Path) -> None:
    """Whether it is enough, how false, and one next step; where a rate is recorded, that."""
    facts = json.loads((folder / "summary.json").read_text())
    found = judge(folder, facts, statistics_of.of(MinedLedger(folder)))
    text = html.unescape(page.read_text())
    assert f'<p class="verdict">{found.text}</p>' in text
    assert f"Next: <code>{found.next.command}</code>" in text
    assert all(step.command in text for step in found.against_false)
    mined = shutil.copytree(folder, tmp_path / "mined")
    mined_folder.record(mined, calibration="12.5% (95% interval 8.0% to 18.0%)")
    assert "False negatives by hfneg calibrate: 12.5% (95% interval 8.0% to 18.0%)." in hfneg.report(mined).read_text()


def test_a_ledger_without_negatives(tmp_path: Path) -> None:
    """A page is written where nothing was mined at all."""
    rows = Dataset.from_dict({"query": ["alpha"], "answer": ["alpha beta"]})
    hfneg.mine(rows, ["alpha beta"], hfneg.Recipe(k=7), out=tmp_path / "mined", **NAMES)
    text = hfneg.report(tmp_path / "mined", tmp_path / "page.html").read_text()
    assert "0 hard negatives for 1 anchors" in text


def test_command(folder: Path, earlier: Path, tmp_path: Path) -> None:
    """It says what it wrote; a file that is there is refused with exit code 3, a folder that is not mined with 2."""
    out = tmp_path / "page.html"
    shown = one_line(command("report", folder, "--out", out, "--sample", 5, "--against", earlier, "-q"))
    assert shown.startswith(f"{out} (0.")
    assert len(data_of(out)["entries"]) == 5
    out.write_text("of somebody else")
    assert "--overwrite" in command("report", folder, "--out", out, code=3)
    command("report", folder, "--out", out, "--overwrite", "-q")
    assert "no mined folder" in one_line(command("report", tmp_path, "--out", tmp_path / "other.html", code=2))


# In a browser.


def shown_anchors(browser: Browser) -> list[str]:  # noqa: F811
    titles: list[str] = browser.run("[...document.querySelectorAll('.anchor .title')].map(one => one.textContent)")
    return titles


def test_it_opens_from_a_file(browser: Browser, page: Path) -> None:  # noqa: F811
    """It loads nothing but itself, and its console stays empty."""
    browser.open(page)
    browser.run("document.querySelector('#open').click()")
    assert [url for url in browser.loaded if not url.startswith("data:")] == [page.resolve().as_uri()]
    assert browser.said == []
    assert browser.run("document.title") == "<b>round & 2: hard negatives"


def test_markup_of_the_data_stays_text(browser: Browser, page: Path) -> None:  # noqa: F811
    """Scripts, styles, images and comments of anchors, documents and ids are shown, not run."""
    browser.open(page)
    browser.run("document.querySelector('#more').click()")
    browser.run("document.querySelector('#open').click()")
    text = browser.run("document.body.textContent")
    for hostile in (*HOSTILE, "<i>221</i>", "<b>round & 2"):
        assert hostile in text
    assert browser.run("window.hacked") is None
    assert browser.run("document.querySelectorAll('img, i, b, main style, main script').length") == 0
    assert browser.run("getComputedStyle(document.body).display") == "block"


def test_search_by_keyboard(browser: Browser, page: Path) -> None:  # noqa: F811
    """ "/" goes to the search box, words narrow the list and are marked, Escape brings all back, Enter opens one."""
    from selenium.webdriver.common.keys import Keys

    browser.open(page)
    entries = data_of(page)["entries"]
    browser.press("/")
    assert browser.run("document.activeElement.id") == "search"
    browser.press("qwertz")
    assert shown_anchors(browser) == ["qwertz"]
    assert browser.run("document.querySelector('#shown').textContent") == f"1 of {len(entries)} sampled anchors"
    assert browser.run("document.querySelector('.anchor mark').textContent") == "qwertz"
    browser.press(Keys.ESCAPE)
    assert len(shown_anchors(browser)) == min(len(entries), 50)
    browser.press("<SCRIPT>window")
    data = data_of(page)
    expected = [
        entry["text"]
        for entry in data["entries"]
        if "<script>window" in entry["text"]
        or any(
            "<script>window" in data["documents"][str(one[0])][1] for one in entry["positives"] + entry["candidates"]
        )
    ]
    assert shown_anchors(browser) == expected
    browser.press(Keys.ESCAPE)
    browser.run("document.querySelectorAll('.anchor > summary')[1].focus()")
    browser.press(Keys.ENTER)
    assert browser.run("document.querySelectorAll('.anchor')[1].open") is True
    items = "document.querySelectorAll('.anchor')[1].querySelectorAll('.item').length"
    assert any(browser.run(items) > 1 for _ in range(200))  # filled by the toggle event, which comes a little later


def test_words_of_the_anchor_are_underlined(browser: Browser, page: Path) -> None:  # noqa: F811
    """In what was found for it, unless more than a fifth of the documents has them."""
    browser.open(page)
    data = data_of(page)
    texts = [text.lower() for _, text, _ in data["documents"].values() if text is not None]
    browser.run("document.querySelector('#open').click()")
    assert any(browser.run("document.querySelectorAll('.hit').length") for _ in range(200))
    shown = browser.run(
        "[...document.querySelectorAll('.anchor')].map((one) => [one.querySelector('.title').textContent, "
        "[...one.querySelectorAll('.hit')].map((w) => w.textContent.toLowerCase())])"
    )
    split = [set(re.findall(r"[^\W_]+", text)) for text in texts]
    rare = {word for words in split for word in words if sum(word in one for one in split) <= len(split) / 5}
    assert len(split) >= 20
    for anchor, hits in shown:
        assert set(hits) <= set(re.findall(r"[^\W_]+", anchor.lower())) & rare


def test_filters_by_keyboard(browser: Browser, earlier: Path, tmp_path: Path) -> None:  # noqa: F811
    """Short anchors alone by the space bar, one verdict by the arrow keys; both as the ledger has them."""
    from selenium.webdriver.common.keys import Keys

    page = hfneg.report(earlier, tmp_path / "page.html")
    data = data_of(page)
    browser.open(page)
    browser.run("document.querySelector('#short').focus()")
    browser.press(Keys.SPACE)
    short = [entry["text"] for entry in data["entries"] if entry["short"]]
    assert shown_anchors(browser) == short
    assert 0 < len(short) < len(data["entries"])
    browser.press(Keys.SPACE)
    browser.run("document.querySelector('#verdict').focus()")
    browser.press("margin")
    code = browser.run("document.querySelector('#verdict').value")
    assert data["verdicts"][code]["name"] == "margin"
    assert shown_anchors(browser) == [
        entry["text"] for entry in data["entries"] if int(code) in [one for one, _ in entry["counts"]]
    ]
    browser.run("document.querySelector('#open').click()")
    filled = "[...document.querySelectorAll('.anchor[open]')].every(one => one.querySelector('.item'))"
    assert any(browser.run(filled) for _ in range(200))  # by the toggle event, which comes a little later
    labels = browser.run("[...document.querySelectorAll('.item .what')].map(one => one.textContent)")
    assert {label.split(":")[0] for label in labels} == {"Positive", "Rejected margin"}
    assert browser.run("document.querySelectorAll('nav a').length") >= 5
    browser.run("document.querySelector('#search').focus()")
    order = []
    for _ in range(5):
        browser.press(Keys.TAB)
        order.append(browser.run("document.activeElement.id"))
    assert order[:4] == ["verdict", "short", "open", "close"]


def luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_light_and_dark(browser: Browser, page: Path, theme: str) -> None:  # noqa: F811
    """As the system says, with enough contrast for words (4.5) and marks (3, WCAG 2.1); a button says otherwise."""
    browser.open(page, theme=theme)
    ground = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (luminance(ground) > 0.5) == (theme == "light")
    for place in ("body", ".lead", ".kicker", "figcaption", ".tiles .note", "#shown", ".what", ".facts-line", "th"):
        colour = browser.run(f"getComputedStyle(document.querySelector('{place}')).color")
        assert contrast(colour, ground) >= 4.5, place
    for place in (".label", ".tick"):
        assert contrast(browser.run(f"getComputedStyle(document.querySelector('.chart {place}')).fill"), ground) >= 4.5
    for place in (".fill-positive", ".fill-negative", ".fill-rejected"):
        assert contrast(browser.run(f"getComputedStyle(document.querySelector('{place}')).fill"), ground) >= 3, place
    other = "light" if theme == "dark" else "dark"
    for _ in range(3):
        browser.run("document.querySelector('#theme').click()")
        if browser.run("document.querySelector('#theme').textContent") == f"Theme: {other}":
            break
    assert (luminance(browser.run("getComputedStyle(document.body).backgroundColor")) > 0.5) == (other == "light")
    while browser.run("document.querySelector('#theme').textContent") != "Theme: as the system":
        browser.run("document.querySelector('#theme').click()")
    assert browser.run("getComputedStyle(document.body).backgroundColor") == ground


def test_it_prints_on_white(browser: Browser, page: Path) -> None:  # noqa: F811
    """Also where the system is dark; controls are left out, charts and what is open stay."""
    browser.open(page, theme="dark")
    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": features})
    assert luminance(browser.run("getComputedStyle(document.body).backgroundColor")) == 1
    assert browser.run("getComputedStyle(document.querySelector('#controls')).display") == "none"
    assert browser.run("document.querySelector('svg.chart').getBoundingClientRect().height") > 40
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


@pytest.mark.parametrize("width", [320, 360, 768, 1280, 2200])
def test_narrow_and_wide(browser: Browser, page: Path, width: int) -> None:  # noqa: F811
    """Nothing sticks out sideways, with everything opened; charts are drawn, and their words can be read."""
    browser.open(page, width=width)
    browser.run("document.querySelector('#open').click()")
    browser.run("document.querySelectorAll('details.numbers').forEach(one => { one.open = true })")
    assert browser.run("document.documentElement.scrollWidth") <= width
    sizes = browser.run(
        "[...document.querySelectorAll('svg.chart')].map(one => { const box = one.getBoundingClientRect();"
        " return [box.left, box.right, box.height, 11 * box.width / 400] })"
    )
    assert len(sizes) >= 6
    for left, right, height, letters in sizes:
        assert 0 <= left < right <= width
        assert height > 40
        assert letters >= 7.5
    outside = browser.run(
        "[...document.querySelectorAll('svg.chart text')].filter(one => { const svg = one.closest('svg')"
        ".getBoundingClientRect(); const box = one.getBoundingClientRect();"
        " return box.left < svg.left - 1 || box.right > svg.right + 1 }).map(one => one.textContent)"
    )
    assert outside == []


def test_charts_have_words_for_those_who_do_not_see_them(browser: Browser, page: Path) -> None:  # noqa: F811
    """Each picture has a label, and its numbers as a table; controls have names, headings are in order."""
    browser.open(page)
    labels = browser.run("[...document.querySelectorAll('svg.chart')].map(one => one.getAttribute('aria-label'))")
    assert all(len(label) > 20 for label in labels)
    assert browser.run("document.querySelectorAll('details.numbers table').length") == len(labels)
    assert browser.run("[...document.querySelectorAll('input, select')].every(one => one.labels.length === 1)")
    levels = browser.run("[...document.querySelectorAll('h1, h2, h3')].map(one => Number(one.tagName[1]))")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
