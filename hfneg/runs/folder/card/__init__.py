"""Cards: what the README of a mined dataset says, on disk as on the Hub.

`render` fills the one template (``card.md.jinja``), `in_words` turns a recipe into sentences, `references` names
the sources of its steps, `read_samples` picks rows to show, `histogram_svg` draws scores, and `Readme` merges our
part into a README that belongs to somebody else.
"""

from hfneg.runs.folder.card.paths import without_paths
from hfneg.runs.folder.card.picture import histogram_svg
from hfneg.runs.folder.card.readme import Readme
from hfneg.runs.folder.card.rendering import render
from hfneg.runs.folder.card.samples import read_samples
from hfneg.runs.folder.card.words import in_words, references

__all__ = [
    "Readme",
    "histogram_svg",
    "in_words",
    "read_samples",
    "references",
    "render",
    "without_paths",
]
