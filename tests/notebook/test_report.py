"""The report: one file, nothing from elsewhere, readable, and deaf to what hostile output says."""

from html.parser import HTMLParser

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from operatorlab.notebook.report import write_report

HOSTILE = "<script>globalThis.pwned=1</script><img src=x onerror=globalThis.pwned=1>"
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><desc>a &lt;small&gt; picture</desc></svg>'


class Resources(HTMLParser):
    """Collects what a page would load, and its scripts."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.scripts, self.alts = [], 0, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.scripts += tag == "script"
        if tag == "img":
            self.alts.append(attrs.get("alt"))
        names = {"link": ("href",), "a": ()}.get(tag, ("src", "srcset", "href", "data", "poster", "action"))
        self.loads += [attrs[name] for name in names if attrs.get(name)]


def output(data, kind="display_data", **more):
    return new_output(kind, data=data, **more)


def write(tmp_path, *cells):
    path = tmp_path / "done.ipynb"
    nbformat.write(new_notebook(cells=list(cells)), path)
    return write_report(path, tmp_path / "report.html").read_text()


@pytest.fixture
def page_text(tmp_path):
    """A report with every kind of output."""
    error = new_output("error", ename="ValueError", evalue=HOSTILE, traceback=["\x1b[31mValueError\x1b[0m", HOSTILE])
    outputs = [
        output({"text/plain": HOSTILE}),
        output({"text/html": "<b>bold</b>", "text/plain": "plain"}, "execute_result"),
        output({"image/svg+xml": SVG, "text/plain": "words"}),
        output({"image/png": "iVBORw0KGgo="}),
        output({"text/markdown": "*slanted*"}),
        output({"text/latex": "$x$" + HOSTILE}),
        output({"application/javascript": "globalThis.pwned=1", "text/plain": "script left out"}),
        output({"application/vnd.jupyter.widget-view+json": {"model_id": "x"}, "text/html": "<i>settled</i>"}),
        new_output("stream", name="stdout", text=f"\x1b[32mgreen\x1b[0m {HOSTILE}"),
        error,
    ]
    return write(
        tmp_path,
        new_markdown_cell("# The <title>\n\n$e=mc^2$ and [a link](https://example.org)"),
        new_code_cell("print('shown')", execution_count=1, outputs=outputs),
        new_code_cell("secret_setup()", execution_count=2, metadata={"tags": ["report-hide"]}, outputs=[]),
    )


def test_it_loads_nothing_from_anywhere(page_text):
    found = Resources(page_text)
    assert all(load.startswith("data:") for load in found.loads if load != "x"), found.loads
    assert "url(http" not in page_text
    assert "@import" not in page_text


def test_each_output_is_shown_and_input_is_folded(page_text):
    for told in ("<b>bold</b>", "<em>slanted</em>", "green", "script left out", "<i>settled</i>", "ValueError"):
        assert told in page_text
    assert '<details class="input"><summary>code 1</summary>' in page_text
    assert "secret_setup" not in page_text
    assert "\x1b" not in page_text


def test_pictures_have_words(page_text):
    assert Resources(page_text).alts[:2] == ["a <small> picture", "a picture without description"]


def test_text_output_is_escaped(page_text):
    assert Resources(page_text).scripts == 0


@pytest.mark.asyncio(loop_scope="session")
async def test_it_opens_offline_and_runs_nothing(page_text, tmp_path, browser):
    page = await browser.new_page(offline=True)
    failed = []
    page.on("requestfailed", lambda request: failed.append(request.url))
    await page.goto((tmp_path / "report.html").as_uri())
    assert await page.title() == "The <title>"
    assert await page.get_by_text("code 1").is_visible()
    assert not await page.get_by_text("print('shown')").is_visible(), "inputs are folded"
    await page.get_by_text("code 1").click()
    assert await page.get_by_text("print('shown')").is_visible()
    assert await page.evaluate("globalThis.pwned") is None
    assert failed == []
    await page.close()


@pytest.mark.asyncio(loop_scope="session")
async def test_the_policy_stops_even_html_that_a_notebook_meant_to_run(tmp_path, browser):
    write(tmp_path, new_code_cell("x", outputs=[output({"text/html": f"{HOSTILE}<img src='http://127.0.0.1:9/x'>"})]))
    page = await browser.new_page()
    asked = []
    page.on("response", lambda response: asked.append(response.url))
    await page.goto((tmp_path / "report.html").as_uri())
    assert await page.evaluate("globalThis.pwned") is None
    assert [url for url in asked if url.startswith("http")] == []
    await page.close()


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
async def test_it_follows_light_and_dark(page_text, tmp_path, browser, scheme, dark):
    page = await browser.new_page(color_scheme=scheme, offline=True)
    await page.goto((tmp_path / "report.html").as_uri())
    ground = await page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (sum(ground) < 200) is dark
    await page.close()
