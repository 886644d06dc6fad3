"""One HTML file of an executed notebook. It opens offline: no script, no font, no picture from elsewhere.

nbconvert draws the cells through the template beside this file. A content security policy in the page
forbids scripts and every load from a network, so that not even hostile output can reach out.
"""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

from nbformat import NotebookNode

from operatorlab.notebook.files import heading, load, tags
from operatorlab.text import visible

_HERE = Path(__file__).parent
_PRIORITY = ["text/html", "image/svg+xml", "image/png", "image/jpeg", "text/markdown", "text/latex", "text/plain"]
_HIDDEN = {"report-hide"}
_ALT = re.compile(r"<desc>(.*?)</desc>", re.DOTALL)


def write_report(notebook: Path, page: Path) -> Path:
    """Write `notebook` as one HTML file to `page` and return it. Cells tagged `report-hide` show their outputs only."""
    from nbconvert import HTMLExporter

    content = load(notebook)
    exporter = HTMLExporter(  # type: ignore[no-untyped-call]
        template_name="report",
        extra_template_basedirs=[str(_HERE / "templates")],
        filters={"hides_input": _hides_input, "svg_alt": _svg_alt, "visible": visible},
        embed_images=True,
    )
    exporter.config.NbConvertBase.display_data_priority = _PRIORITY
    resources = {
        "title": _title(content, notebook.stem),
        "styles": _styles(),
    }
    body, _ = exporter.from_notebook_node(content, resources=resources)
    page.write_text(body, encoding="utf-8")
    return page


def _title(content: NotebookNode, otherwise: str) -> str:
    return next((found for cell in content.cells if (found := heading(cell))), otherwise)


def _styles() -> str:
    from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]

    light = HtmlFormatter(style="default").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".highlight")
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n{(_HERE / 'report.css').read_text()}"


def _hides_input(cell: NotebookNode) -> bool:
    return bool(_HIDDEN & set(tags(cell)))


def _svg_alt(svg: str) -> str:
    """The description inside an SVG, for the `alt` of its picture."""
    found = _ALT.search(svg)
    return unescape(found.group(1)) if found else "a chart without description"
