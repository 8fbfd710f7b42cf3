"""The documentation site: `make docs` builds it in docs/_build/html, without the network."""

import re
import sys
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS / "_extensions"), str(DOCS.parent)]

project = "jepa-coffea"
author = "The jepa-coffea developers"
project_copyright = "The jepa-coffea developers, BSD-3-Clause"
version = release = installed("jepa-coffea")

extensions = [
    "generated",  # pages made from the code: YAML keys, models, API, notebooks
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "_extensions", "generated/fragments"]
suppress_warnings = ["mystnb.unknown_mime_type"]

html_theme = "furo"
html_title = f"jepa-coffea {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]

myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # notebooks are kept with their outputs; tests/docs executes them

autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_use_rtype = False
napoleon_use_ivar = True
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True


def setup(app: Any) -> None:
    """Make plain text of docstrings what it is to a reader of the code, before anything else looks at it."""

    def plain(_app: Any, what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
        # |eta| is an absolute value, no substitution; "[bin]: events" begins no type.
        lines[:] = [re.sub(r"\|([^|`]+)\|", r"\\|\1\\|", line) for line in lines]
        if what in ("attribute", "property") and lines:
            lines[0] = re.sub(r"^(\[[^\]]*\]): ", r"\1, ", lines[0])

    app.connect("autodoc-process-docstring", plain, priority=100)
