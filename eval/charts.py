"""Charts of a campaign: how long until repaired, and what success costs. Each comes with its words."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from eval.score import Score
from eval.stats import survival
from eval.summary import by_variant
from operatorlab.notebook.chart import Figure, theme

_DASHES = [[1, 0], [6, 3], [2, 2], [8, 2, 2, 2]]


def survival_chart(scores: Sequence[Score]) -> Figure | None:
    """The share of broken systems not yet repaired, over time, a line a variant. None where nothing was broken."""
    rows, words = [], []
    for variant in dict.fromkeys(score.variant for score in scores):
        seen = [one.repair.lasted for one in scores if one.variant == variant and not one.control]
        known = [(time, ended) for time, ended in seen if time is not None]
        if known:
            curve = survival([time for time, _ in known], [ended for _, ended in known])
            points = [(0.0, 1.0), *zip(curve.times, curve.shares, strict=True)]
            rows += [{"variant": variant, "seconds": time, "share": share} for time, share in points]
            words.append(f"{variant} ends at {points[-1][1]:.0%} after {points[-1][0]:.1f} s")
    if not rows:
        return None
    theme()
    chart = alt.Chart(pd.DataFrame(rows), width=560, height=220).mark_line(interpolate="step-after").encode(
        x=alt.X("seconds:Q", title="seconds since the injection"),
        y=alt.Y("share:Q", title="not yet repaired", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%")),
        color=alt.Color("variant:N", title="variant"),
        strokeDash=alt.StrokeDash("variant:N", scale=alt.Scale(range=_DASHES)),
    )  # fmt: skip
    return Figure(chart, "Share of broken systems not yet repaired over time: " + "; ".join(words))


def cost_chart(scores: Sequence[Score]) -> Figure | None:
    """Success against cost, a point a variant. None where nothing cost anything."""
    rows = [
        {"variant": row.name, "usd": row.cost_usd / row.n, "success": row.success.share}
        for row in by_variant(scores)
        if row.cost_usd and row.n
    ]
    if not rows:
        return None
    theme()
    points = alt.Chart(pd.DataFrame(rows), width=560, height=220).mark_point(size=90, filled=True).encode(
        x=alt.X("usd:Q", title="dollars a trial"),
        y=alt.Y("success:Q", title="success", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%")),
        shape="variant:N", color="variant:N",
    )  # fmt: skip
    names = points.mark_text(align="left", dx=8).encode(text="variant:N")
    words = "; ".join(f"{row['variant']} {row['success']:.0%} at ${row['usd']:.3f}" for row in rows)
    return Figure(points + names, f"Success against dollars a trial: {words}")
