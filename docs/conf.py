"""The site, as `nox -s site` builds it: the repository's own Markdown, read where it lies.

The source folder is the repository, so that a link which works in a checkout works on the site. Nothing is fetched
while it is built or read: no remote fonts, scripts or inventories. Equations are text and need no typesetting.
"""

import re
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]

project = "Trainer plugins for Unity ML-Agents"
copyright = "the authors, Apache-2.0"
extensions = ["myst_parser", "sphinx_copybutton"]
root_doc = "docs/index"
include_patterns = ["docs/**.md", "shared/README.md", "packages/*/README.md", "CONTRIBUTING.md"]
# Not to be searched for pages: it would take longer than to build the site.
exclude_patterns = [".[!.]*", "build", "dist", "players", "results", "templates", "tests", "**/src", "**/tests"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4

html_theme = "furo"
html_title = "ML-Agents trainer plugins"
html_copy_source = False
html_show_sphinx = False
html_static_path = ["site/static"]
html_css_files = ["site.css"]
html_additional_pages = {"index": "front.html"}
templates_path = ["site/templates"]
highlight_language = "text"  # commands and messages; blocks of code name their language
pygments_style = "friendly"
pygments_dark_style = "native"

REST = "the pages that no list above has"  # a line in the last list of the front page
LINK = re.compile(r"(?<!!)\[(?P<words>[^\]]*)\]\((?P<path>[^)#:\s]+)(?P<anchor>#[^)\s]*)?\)")


def setup(app: Sphinx) -> None:
    """Register what reads a page before Sphinx does."""
    app.connect("source-read", link_folders)
    app.connect("source-read", list_the_rest)


def link_folders(app: Sphinx, name: str, source: list[str]) -> None:
    """Let a link to a folder lead to its README, as it does where the repository is browsed, or else be its words."""
    folder = (ROOT / name).parent

    def readme(link: re.Match[str]) -> str:
        if not (folder / link["path"]).is_dir():
            return link[0]
        if not (folder / link["path"] / "README.md").is_file():
            return link["words"]
        return f"[{link['words']}]({link['path'].rstrip('/')}/README.md{link['anchor'] or ''})"

    source[0] = LINK.sub(readme, source[0])


def list_the_rest(app: Sphinx, name: str, source: list[str]) -> None:
    """Let no page be left out of the front page's lists, however new it is."""
    if name == root_doc:
        listed = set(source[0].splitlines())
        pages = sorted(file.stem for file in (ROOT / "docs").glob("*.md") if file.stem != "index")
        source[0] = source[0].replace(REST, "\n".join(page for page in pages if page not in listed))
