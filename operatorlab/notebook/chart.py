"""The story of one run as a chart: what clients got above, what happened below, on the same seconds.

Colours are Okabe and Ito's, told apart by people with any colour vision; shapes and words say the same.
Charts are saved as SVG (vl-convert), because Altair's own renderers fetch scripts from a network.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from html import escape
from typing import Any

import altair as alt
import pandas as pd

from operatorlab.notebook.story import Span, Story, story
from operatorlab.widgets.shapes import StoreLike

PALETTE = {
    "fault": "#D55E00",
    "detected": "#E69F00",
    "recovered": "#56B4E9",
    "resolved": "#009E73",
    "ticket": "#E69F00",
    "session": "#B9D3E6",
    "command": "#0072B2",
}
_SHAPES = {"fault": "cross", "detected": "triangle-up", "recovered": "diamond", "resolved": "circle"}
_INK, _FAINT, _GRID = "#1a1a1a", "#555555", "#e2e2e2"
_WIDTH, _LANE_PX = 760, 38
Layer = Any
"""Altair's charts; its combining functions are not typed."""


def theme() -> None:
    """Make every chart of this notebook look alike and be saved as SVG."""
    alt.theme.register("operatorlab", enable=True)(_theme)
    alt.renderers.enable("svg")


def timeline(store: StoreLike, run: str) -> Figure:
    """The chart of `run` from its audit; UserError if nothing happened in it."""
    theme()
    told = story(store.db, run)
    return Figure(chart(told), told.words)


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart with words for those who do not see it. `chart` is the Altair chart."""

    chart: Layer
    words: str

    @property
    def svg(self) -> str:
        """The chart as one SVG with a description inside."""
        import vl_convert

        drawn: str = vl_convert.vegalite_to_svg(self.chart.to_dict())
        opening, rest = drawn.split(">", 1)
        return f'{opening} role="img"><desc>{escape(self.words)}</desc>{rest}'

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, str], dict[str, Any]]:
        bundle = {"image/svg+xml": self.svg, "text/plain": self.words}
        return bundle, {"image/svg+xml": {"alt": self.words}}


def chart(told: Story) -> Layer:
    """The story as an Altair chart."""
    whole = alt.vconcat(_clients(told), _lanes(told), spacing=6).resolve_scale(x="shared")
    return whole.properties(title=f"incident timeline · {told.run}")


def _clients(told: Story) -> Layer:
    answered = pd.DataFrame(told.answered, columns=["second", "answered"]).astype(float)
    line = (
        alt.Chart(answered)
        .mark_line(color=PALETTE["command"], interpolate="step-after", strokeWidth=2)
        .encode(
            x=alt.X("second:Q", title=None, axis=alt.Axis(labels=False, ticks=False)),
            y=alt.Y("answered:Q", title="answered", scale=alt.Scale(domain=[0, 1.02]), axis=alt.Axis(format="%")),
        )
    )
    return alt.layer(line, _rules(told)).properties(width=_WIDTH, height=120)


def _lanes(told: Story) -> Layer:
    spans = pd.DataFrame([_drawn(span) for span in told.spans])
    order = list(dict.fromkeys(spans["lane"]))
    lane = alt.Y("lane:N", sort=order, title=None)
    bars = alt.Chart(spans).encode(
        x=alt.X("start:Q", title="seconds since the fault"),
        x2="end:Q",
        y=lane,
        color=alt.Color("colour:N", scale=None),
    )
    wide = bars.transform_filter("datum.kind != 'command'").mark_bar(height=12, opacity=0.55)
    narrow = bars.transform_filter("datum.kind == 'command'").mark_bar(height=18)
    words = alt.Chart(spans).transform_filter("datum.kind != 'command'")
    labels = words.mark_text(align="left", baseline="bottom", dy=-10, fontSize=10, color=_FAINT).encode(
        x="start:Q", y=lane, text="label:N"
    )
    layers = alt.layer(wide, narrow, labels, _moments(told, order), _rules(told))
    return layers.properties(width=_WIDTH, height=_LANE_PX * len(order)).resolve_scale(
        color="independent", shape="independent"
    )


def _drawn(span: Span) -> dict[str, Any]:
    # A command of some milliseconds would be thinner than a pixel.
    end = max(span.end, span.start + 0.03)
    return {**asdict(span), "end": end, "colour": PALETTE[span.kind]}


def _moments(told: Story, lanes: list[str]) -> Layer:
    rows = [{"second": m.second, "kind": m.kind, "lane": _lane(m.label, lanes)} for m in told.moments]
    kinds, legend = list(_SHAPES), alt.Legend(title=None, orient="bottom")
    return (
        alt.Chart(pd.DataFrame(rows))
        .mark_point(filled=True, size=90, opacity=1)
        .encode(
            x="second:Q",
            y=alt.Y("lane:N", sort=lanes),
            color=alt.Color("kind:N", scale=_colours(*kinds), legend=legend),
            shape=alt.Shape("kind:N", scale=alt.Scale(domain=kinds, range=list(_SHAPES.values())), legend=legend),
        )
    )


def _lane(label: str, lanes: list[str]) -> str:
    return next((name for name in lanes if label.startswith(name)), lanes[0])


def _rules(told: Story) -> Layer:
    rows = pd.DataFrame([{"second": m.second, "colour": PALETTE[m.kind]} for m in told.moments])
    rule = alt.Chart(rows).mark_rule(strokeDash=[3, 3], opacity=0.8)
    return rule.encode(x="second:Q", color=alt.Color("colour:N", scale=None))


def _colours(*kinds: str) -> alt.Scale:
    return alt.Scale(domain=list(kinds), range=[PALETTE[kind] for kind in kinds])


def _theme() -> alt.theme.ThemeConfig:
    axis: Any = {"labelColor": _FAINT, "titleColor": _FAINT, "gridColor": _GRID, "domainColor": _GRID}
    axis |= {"tickColor": _GRID, "titleFontWeight": "normal", "labelLimit": 240}
    return {
        "config": {
            "background": "#ffffff",  # a picture keeps its ground, so that it reads the same in light and dark pages
            "font": "sans-serif",
            "padding": 12,
            "axis": axis,
            "view": {"stroke": "transparent"},
            "title": {"anchor": "start", "fontSize": 13, "color": _INK},
            "legend": {"labelColor": _INK, "symbolOpacity": 1},
        }
    }
