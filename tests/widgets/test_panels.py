"""The JavaScript of the panels, in a real browser, fed with the state that Python would send."""

import json
from dataclasses import asdict

import pytest

from operatorlab.subject import NodeState
from operatorlab.widgets import html
from operatorlab.widgets.nodes import NodesPanel, NodesView
from operatorlab.widgets.operator import OperatorPanel, OperatorView
from operatorlab.widgets.panel import HERE
from operatorlab.widgets.view import ClientPoint, sparks, step_rows, ticket_rows

BROWSER = pytest.mark.asyncio(loop_scope="session")
PAGE = """<!DOCTYPE html><html lang="en"><style>%s</style><body><div id="el"></div><script type="module">
%s
const listeners = new Set();
globalThis.model = {
  view: %s,
  get() { return this.view; },
  on(name, callback) { listeners.add(callback); },
  off(name, callback) { listeners.delete(callback); },
};
globalThis.show = (view) => { model.view = view; listeners.forEach((callback) => callback()); };
globalThis.listening = () => listeners.size;
globalThis.close = panel.render({ model, el: document.getElementById("el") });
</script></body></html>"""


def page_of(script, view):
    source = (HERE / script).read_text().replace("export default", "const panel =")
    return PAGE % ((HERE / "panel.css").read_text(), source, json.dumps(asdict(view)).replace("<", "\\u003c"))


async def show(page, view):
    await page.evaluate("view => show(view)", asdict(view))


@pytest.fixture
def nodes_view(seen, watched):
    watched.break_()
    rows = tuple(ticket_rows(watched.board.tickets()))
    points = tuple(sparks([ClientPoint(1.0, 10.0), ClientPoint(0.5, 20.0)]))
    looked = seen(NodeState.UP, NodeState.DOWN, reason="no answer")
    return NodesView.of("small", looked, tickets=rows, sparks=points)


@BROWSER
async def test_members_are_told_by_word_and_shape(open_page, nodes_view):
    async with open_page(page_of("nodes.js", nodes_view)) as page:
        members = page.get_by_role("table", name="members", exact=True)
        assert (await members.get_by_role("row").nth(2).inner_text()).split("\t") == [
            "node-2", "✖ down", "no answer", "pid 42",
        ]  # fmt: skip
        assert "node_down" in await page.get_by_role("table", name="tickets not yet closed").inner_text()
        assert await page.get_by_role("img", name="client success: 50.0% of requests answered").count() == 1


@BROWSER
async def test_the_browser_and_the_saved_file_tell_the_same(open_page, nodes_view):
    async with open_page(page_of("nodes.js", nodes_view)) as live, open_page(html.nodes(nodes_view)) as saved:
        assert (await live.locator(".olab").inner_text()).split() == (await saved.locator(".olab").inner_text()).split()


@BROWSER
async def test_members_change_in_place(open_page, nodes_view, seen):
    async with open_page(page_of("nodes.js", nodes_view)) as page:
        await show(page, NodesView.of("small", seen(NodeState.UP, NodeState.UP)))
        assert await page.get_by_text("● up").count() == 2
        assert await page.get_by_role("table").count() == 1, "without tickets there is no table of tickets"


@BROWSER
async def test_a_closed_panel_listens_no_more(open_page, nodes_view):
    async with open_page(page_of("nodes.js", nodes_view)) as page:
        await page.evaluate("close()")
        assert await page.evaluate("listening()") == 0


@BROWSER
async def test_the_story_of_an_operator(open_page, step):
    steps = [step("thought", "who is alive?"), step("command", "ps aux", "c", reasoning="look")]
    view = OperatorView("runbook (deterministic, not a model)", "at work", tuple(step_rows(steps)))
    async with open_page(page_of("operator.js", view)) as page:
        text = await page.locator(".olab").inner_text()
        for told in ("runbook (deterministic, not a model)", "who is alive?", "$ ps aux", "running …"):
            assert told in text
        steps.append(step("result", "\n".join(f"line {i}" for i in range(100)), "c", exit_code=0, duration_s=0.1))
        await show(page, OperatorView(view.brain, "at work", tuple(step_rows(steps))))
        assert await page.locator("summary").inner_text() == "exit 0 · 0.10 s · line 0"
        await page.locator("summary").click()
        assert "80 lines not shown" in await page.locator("details pre").inner_text()
        assert "line 99" in await page.locator("details pre").inner_text()


@BROWSER
async def test_an_opened_result_stays_open_while_steps_come_and_go(open_page, step):
    steps = [step("command", "ps", "c"), step("result", "out", "c", exit_code=0, duration_s=0.1)]
    async with open_page(page_of("operator.js", OperatorView("x", "", tuple(step_rows(steps))))) as page:
        await page.locator("summary").click()
        await show(page, OperatorView("x", "", tuple(step_rows([*steps, step("thought", "next")]))))
        assert await page.locator("details[open]").count() == 1
        many = [*steps, *[step("thought", str(i)) for i in range(70)]]
        await show(page, OperatorView("x", "", tuple(step_rows(many))))
        assert await page.locator("li").count() == 60
        assert await page.locator("li").first.inner_text() == "thought10"


@BROWSER
async def test_the_latest_step_is_in_sight_unless_the_reader_scrolled_back(open_page, step):
    steps = [step("thought", f"thought {i}\n" * 3) for i in range(50)]
    async with open_page(page_of("operator.js", OperatorView("x", "", tuple(step_rows(steps[:1]))))) as page:
        await show(page, OperatorView("x", "", tuple(step_rows(steps))))
        at_end = "s => s.scrollTop + s.clientHeight >= s.scrollHeight - 8"
        assert await page.locator(".steps").evaluate(at_end)
        await page.locator(".steps").evaluate("s => { s.scrollTop = 0; }")
        await show(page, OperatorView("x", "", tuple(step_rows([*steps, step("thought", "new")]))))
        assert await page.locator(".steps").evaluate("s => s.scrollTop") == 0


@BROWSER
@pytest.mark.parametrize("script", ["nodes.js", "operator.js"])
async def test_hostile_text_stays_text_in_the_live_panel(open_page, seen, step, watched, hostile, script):
    watched.break_(hostile, hostile, hostile)
    tickets = tuple(ticket_rows(watched.board.tickets()))
    looked = seen(NodeState.DOWN, reason=hostile, facts={hostile: hostile})
    steps = [step("thought", hostile), step("command", hostile, "c", reasoning=hostile), step("report", hostile)]
    steps.append(step("result", hostile, "c", exit_code=1, duration_s=0.1))
    views = {
        "nodes.js": NodesView.of(hostile, looked, tickets=tickets, note=hostile),
        "operator.js": OperatorView(hostile, hostile, tuple(step_rows(steps)), hostile),
    }
    async with open_page(page_of(script, views[script])) as page:
        assert await page.evaluate("globalThis.pwned") is None
        assert await page.locator("#el script, #el img").count() == 0
        assert "<script>" in await page.locator(".olab").inner_text()


@BROWSER
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("lab", ["", "--jp-ui-font-color1: #101010; --jp-layout-color1: #fafafa;"])
async def test_text_is_readable_in_light_and_dark(open_page, nodes_view, scheme, lab):
    if lab and scheme == "dark":
        lab = "--jp-ui-font-color1: #f0f0f0; --jp-ui-font-color2: #c0c0c0; --jp-layout-color1: #111111;"
    async with open_page(f"<style>:root {{{lab}}}</style>{html.nodes(nodes_view)}", color_scheme=scheme) as page:
        await page.evaluate("s => { document.body.dataset.jpThemeLight = String(s === 'light'); }", scheme)
        for selector in (".olab strong", ".olab th", ".olab .down", ".olab .up"):
            assert await page.locator(selector).first.evaluate(CONTRAST) >= 4.5, selector


CONTRAST = """element => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/\\d+/g).slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = getComputedStyle(element.closest(".olab")).backgroundColor;
  const [a, b] = [getComputedStyle(element).color, ground].map(light);
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}"""


def test_a_panel_carries_widget_html_and_text():
    panel = NodesPanel(NodesView("small"))
    try:
        data, _ = panel._repr_mimebundle_()
        assert set(data) == {"application/vnd.jupyter.widget-view+json", "text/html", "text/plain"}
        assert data["text/plain"] == "small · not observed yet"
        assert set(panel.settled()._repr_mimebundle_()) == {"text/html", "text/plain"}
    finally:
        panel.close()


def test_equal_views_are_not_sent_twice():
    panel = OperatorPanel(OperatorView("x"))
    sent = []
    panel.observe(lambda change: sent.append(change["new"]), "view")
    try:
        panel.show(OperatorView("x"))
        panel.show(OperatorView("x", "at work"))
        panel.show(OperatorView("x", "at work"))
        assert [view["status"] for view in sent] == ["at work"]
    finally:
        panel.close()


@pytest.mark.parametrize("script", ["nodes.js", "operator.js"])
def test_scripts_are_short_and_fetch_nothing(script):
    source = (HERE / script).read_text()
    assert len(source.splitlines()) <= 120
    plain = source.replace("http://www.w3.org/2000/svg", "")
    banned = ("http:", "https:", "import ", "innerHTML", "outerHTML", "eval(")
    assert [word for word in banned if word in plain] == []
