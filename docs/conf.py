"""How Sphinx builds these pages into a site: ``make docs``. Nothing in it is loaded from anywhere else."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import hfneg

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
html_show_sourcelink = html_copy_source = False

myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]
nb_execution_mode = "off"  # the tutorial's outputs are stored with it, and the tests run it
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # they stand in the signature
autodoc_default_options = {"members": True, "show-inheritance": True}
python_use_unqualified_type_names = True
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
        page = {**{there: page for page, there in ELSEWHERE.items()}, "README.md": "index.md"}.get(path)
        if page is None and Path(path).parent == Path("docs"):
            page = Path(path).name
        return text if page is None else f"[{text}]({os.path.relpath(page, Path(place).parent)}{anchor})"

    source[0] = LINK.sub(moved, source[0])


def _shapes(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """ "int64 [n]: the rows" of a property is a sentence, not a type that napoleon would set apart."""
    if what == "property" and lines:
        lines[0] = re.sub(r"^([^:`]*\w): ", "\\1 \u2013 ", lines[0])


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", _shapes, priority=400)
    for page, path in ELSEWHERE.items():
        (HERE / page).parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / path, HERE / page)
    app.connect("source-read", _links)
