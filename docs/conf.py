"""How Sphinx builds these pages into a site: ``make docs``. Nothing in it is loaded from anywhere else."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.util import logging

import hfneg

logger = logging.getLogger(__name__)
HERE = Path(__file__).parent
ROOT = HERE.parent
ELSEWHERE = {
    "more/tutorial.ipynb": "recipes/tutorial/from_pairs_to_a_model.ipynb",
    "more/literature.md": "recipes/README.md",
    "more/effect.md": "recipes/effect/README.md",
    "more/own-teacher.md": "recipes/own_teacher/README.md",
    "more/contributing.md": "CONTRIBUTING.md",
}
"""Pages of the site whose source lies elsewhere; they are copied here when it is built."""
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?://)([^)#\s]+)(#[^)\s]*)?\)")

project, author, copyright = "hfneg", "The hfneg authors", "the hfneg authors"
version = release = hfneg.__version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
html_theme = "furo"
html_title = f"hfneg {version}"
html_theme_options = {"footer_icons": []}
html_static_path, html_css_files = ["static"], ["narrow.css"]
html_use_index = html_domain_indices = False  # the search finds names
pygments_dark_style = "a11y-high-contrast-dark"  # what goes with the light one of the theme
html_show_sourcelink = html_copy_source = False

myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]
nb_execution_mode = "off"  # the tutorial's outputs are stored with it, and the tests run it
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True}
python_maximum_signature_line_length = 88
napoleon_use_ivar = True
napoleon_custom_sections = [("Settings", "params_style")]
default_role = "code"


def _links(app: Any, docname: str, source: list[str]) -> None:
    """Links, as they are where the source is read, to their place on the site; what is not on it becomes plain text."""
    place = next((page for page in ELSEWHERE if page.rpartition(".")[0] == docname), f"{docname}.md")
    origin = ELSEWHERE.get(place, f"docs/{place}")

    def moved(match: re.Match[str]) -> str:
        text, target, anchor = match.groups(default="")
        path = os.path.normpath(Path(origin).parent / target)
        if not (ROOT / path).exists():
            logger.warning("a link to %s, which is not there", target, location=docname)
        page = {**{there: page for page, there in ELSEWHERE.items()}, "README.md": "index.md"}.get(path)
        if page is None and Path(path).parent == Path("docs"):
            page = Path(path).name
        return text if page is None else f"[{text}]({os.path.relpath(page, Path(place).parent)}{anchor})"

    source[0] = LINK.sub(moved, source[0])


def _shapes(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """ "int64 [n]: the rows" of a property is a sentence, not a type that napoleon would set apart."""
    if what == "property" and lines:
        lines[0] = re.sub(r"^([^:`]*[\w\])]): ", "\\1 \u2013 ", lines[0])


def _plain(text: str) -> str:
    """Types of arrays as they are written, not as NumPy spells them out."""
    text = re.sub(r"~(numpy|typing|collections)\.([a-z_]\w*\.)*", "", text)
    text = re.sub(r"_Buffer \| _SupportsArray\[.*?\| _NestedSequence\[complex \| bytes \| str\]", "ArrayLike", text)
    return re.sub(r"ndarray\[tuple\[Any, \.\.\.\], dtype\[((?:[^][]|\[Any\])*)\]\]", r"NDArray[\1]", text)


def _signature(app: Any, what: str, name: str, obj: Any, options: Any, said: str | None, gives: str | None) -> Any:
    return said and _plain(said), gives and _plain(gives)


def _property(app: Any, domain: str, kind: str, content: Any) -> None:
    for node in content.parent.findall(addnodes.desc_annotation):
        if "ndarray" in node.astext():
            node[:] = [nodes.Text(_plain(node.astext()))]


def setup(app: Any) -> None:
    app.connect("autodoc-process-signature", _signature)
    app.connect("object-description-transform", _property)
    app.connect("autodoc-process-docstring", _shapes, priority=400)
    for page, path in ELSEWHERE.items():
        (HERE / page).parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / path, HERE / page)
    app.connect("source-read", _links)
