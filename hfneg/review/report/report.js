"use strict";
// Shows the sample. Texts of the data become text nodes only, never markup.
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const root = document.documentElement;
  const PAGE = 50; // anchors
  const FOLDED = 300; // characters

  // Theme: as the system, light, dark. A page opened from a file may have no storage.
  const themes = ["", "light", "dark"];
  const names = { "": "as the system", light: "light", dark: "dark" };
  const remembered = () => {
    try { return localStorage.getItem("hfneg-theme") || ""; } catch { return ""; }
  };
  const paint = (theme) => {
    if (theme) root.dataset.theme = theme; else delete root.dataset.theme;
    byId("theme").textContent = "Theme: " + names[theme];
  };
  let theme = themes.includes(remembered()) ? remembered() : "";
  paint(theme);
  byId("theme").hidden = false;
  byId("theme").addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    try { localStorage.setItem("hfneg-theme", theme); } catch { /* not kept */ }
    paint(theme);
  });

  const element = (tag, kind, ...children) => {
    const made = document.createElement(tag);
    if (kind) made.className = kind;
    made.append(...children);
    return made;
  };

  // Words with what was searched for marked, as nodes.
  const marked = (text, needle) => {
    if (!needle) return [text];
    const nodes = [];
    const low = text.toLowerCase();
    let from = 0;
    // Lower case can be longer than the text itself: then nothing is marked.
    for (let at = low.length === text.length ? low.indexOf(needle) : -1; at >= 0; at = low.indexOf(needle, from)) {
      nodes.push(text.slice(from, at), element("mark", "", text.slice(at, at + needle.length)));
      from = at + needle.length;
    }
    nodes.push(text.slice(from));
    return nodes;
  };
  const plural = (n, word) => n.toLocaleString("en") + " " + word + (n === 1 ? "" : "s");
  const shown = (value) => String(value).replace("-", "\u2212");

  // The anchor's words as a document has them, but for those that more than a fifth of the sample's documents have.
  const split = (text) => text.split(/([\p{L}\p{N}]+)/u); // words at the odd places
  const frequency = new Map();
  const texts = Object.values(data.documents).map(([, text]) => text).filter((text) => text !== null);
  for (const text of texts) {
    for (const word of new Set(split(text.toLowerCase()).filter((_, i) => i % 2))) {
      frequency.set(word, (frequency.get(word) || 0) + 1);
    }
  }
  const wordsOf = (entry) => new Set(split(entry.text.toLowerCase()).filter(
    (word, i) => i % 2 && (texts.length < 20 || (frequency.get(word) || 0) <= texts.length / 5)));
  const hits = (text, own) => split(text).map(
    (part, i) => (i % 2 && own.has(part.toLowerCase()) ? element("span", "hit", part) : part));

  const words = (row, needle, own) => {
    const [, text, left] = data.documents[row];
    if (text === null) return element("span", "absent", "text not at hand");
    const cut = left ? [element("span", "absent", " \u2026 and " + plural(left, "character") + " more")] : [];
    // A long text is folded, unless something was searched for that may stand in its hidden part.
    if (needle || text.length <= FOLDED * 1.2) return element("span", "words", ...(needle ? marked(text, needle) : hits(text, own)),
      ...cut);
    const made = element("span", "words",
      ...hits(text.slice(0, text.lastIndexOf(" ", FOLDED) + 1 || FOLDED), own), "\u2026 ");
    const button = element("button", "link", "show all");
    button.type = "button";
    button.addEventListener("click", () => {
      made.replaceChildren(...hits(text, own), ...cut);
      made.tabIndex = -1;
      made.focus();
    });
    made.append(button);
    return made;
  };
  const item = (group, what, why, row, facts, needle, own, said) => {
    const label = element("div", "what", what);
    if (why) label.append(" ", element("span", "why", why));
    const known = facts.filter(Boolean).join(" \u00b7 ");
    return element("div", "item " + group, label,
      element("div", "", words(row, needle, own), element("div", "facts-line", known),
        ...(said ? [element("div", "said", "The judge: \u201c" + said + "\u201d")] : [])));
  };
  const positive = ([row, rank, score, teacher], needle, own, said) => item("positive", "Positive", "", row, [
    data.documents[row][0],
    rank === null ? "not retrieved" : "rank " + rank,
    score === null ? "" : data.score + " " + shown(score),
    teacher === null ? "" : "teacher " + shown(teacher),
  ], needle, own, said[row]);
  const candidate = ([row, code, rank, score, teacher, ranks], needle, own, said) => {
    const verdict = data.verdicts[code];
    const what = verdict.group === "negative" ? "Negative" : verdict.group === "promoted" ? "Promoted" : "Rejected";
    const why = verdict.name === "selected" ? "" : verdict.name + ": " + verdict.meaning;
    const found = ranks.map((place, i) => (place ? data.sources[i] + (ranks.length > 1 ? " #" + place : "") : ""));
    return item(verdict.group, what, why, row, [
      data.documents[row][0],
      rank === null ? "not retrieved" : "rank " + rank,
      score === null ? "" : data.score + " " + shown(score),
      teacher === null ? "" : "teacher " + shown(teacher),
      found.filter(Boolean).length ? "found by " + found.filter(Boolean).join(", ") : "",
    ], needle, own, said[row]);
  };

  const fill = (body, entry, needle, code) => {
    const wanted = entry.candidates.filter((one) => code === "" || String(one[1]) === code);
    const own = wordsOf(entry);
    body.replaceChildren(
      ...entry.positives.map((one) => positive(one, needle, own, entry.said)),
      ...wanted.map((one) => candidate(one, needle, own, entry.said)),
    );
    const counts = entry.counts.map(([one, n]) => data.verdicts[one].name + " " + n.toLocaleString("en")).join(", ");
    const rest = ["All candidates: " + (counts || "none") + "."];
    if (entry.left_out[0]) rest.push(plural(entry.left_out[0], "more positive") + " not shown.");
    if (entry.left_out[1]) rest.push(plural(entry.left_out[1], "more candidate") + " not shown.");
    body.append(element("p", "rest", rest.join(" ")));
  };

  const show = (entry, needle, code) => {
    const title = element("span", "title", ...marked(entry.text, needle));
    if (entry.cut) title.append(" \u2026");
    const meta = element("span", "meta", plural(entry.negatives, "negative"));
    if (entry.short) meta.append(element("span", "short", " (too few)"));
    meta.append(", " + plural(entry.counts.reduce((sum, [, n]) => sum + n, 0), "candidate"));
    const body = element("div", "inside");
    const made = element("details", "anchor", element("summary", "", title, meta), body);
    made.addEventListener("toggle", () => {
      if (made.open && !body.childNodes.length) fill(body, entry, needle, code);
    });
    return made;
  };

  // Search and filters.
  const haystacks = data.entries.map((entry) => [entry.text, ...[...entry.positives, ...entry.candidates].flatMap(
    ([row]) => [data.documents[row][0], data.documents[row][1] || ""])].join("\n").toLowerCase());
  const present = new Set(data.entries.flatMap((entry) => entry.counts.map(([code]) => code)));
  for (const [code, verdict] of Object.entries(data.verdicts)) {
    if (!present.has(Number(code))) continue;
    const option = element("option", "", verdict.name);
    option.value = code;
    byId("verdict").append(option);
  }
  let found = [];
  let visible = 0;
  const more = () => {
    const next = found.slice(visible, visible + PAGE);
    const needle = byId("search").value.trim().toLowerCase();
    byId("anchors").append(...next.map((entry) => show(entry, needle, byId("verdict").value)));
    visible += next.length;
    byId("more").hidden = visible >= found.length;
    byId("more").textContent = "Show " + Math.min(PAGE, found.length - visible) + " more";
  };
  const update = () => {
    const needle = byId("search").value.trim().toLowerCase();
    const code = byId("verdict").value;
    found = data.entries.filter((entry, i) => (!needle || haystacks[i].includes(needle))
      && (code === "" || entry.counts.some(([one]) => String(one) === code))
      && (!byId("short").checked || entry.short));
    visible = 0;
    byId("anchors").replaceChildren();
    more();
    byId("shown").textContent = found.length.toLocaleString("en") + " of " + plural(data.entries.length, "sampled anchor");
    const narrowed = needle || code !== "" || byId("short").checked;
    const first = byId("anchors").firstElementChild;
    if (first && (narrowed ? found.length <= 3 : true)) first.open = true;
  };
  byId("controls").hidden = false;
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("search").addEventListener("input", update);
  byId("verdict").addEventListener("change", update);
  byId("short").addEventListener("change", update);
  byId("more").addEventListener("click", more);
  const all = (open) => () => { for (const one of byId("anchors").children) one.open = open; };
  byId("open").addEventListener("click", all(true));
  byId("close").addEventListener("click", all(false));
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input, select, textarea");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      byId("search").focus();
    } else if (event.key === "Escape" && event.target === byId("search")) {
      byId("search").value = "";
      update();
    }
  });
  update();
})();
