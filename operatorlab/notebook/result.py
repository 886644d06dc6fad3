"""The result a notebook records in its last cell. A run without one has failed, whatever its exit code says.

record(success=session.outcome == "resolved_verified", outcome=session.outcome, ticket=ticket.id)
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from operatorlab.notebook.files import code_cells, load

MIMETYPE = "application/vnd.operatorlab.result+json"


class Result(BaseModel):
    """What a notebook says of its own run; further fields are kept as they are (scalars and lists)."""

    model_config = ConfigDict(extra="allow", frozen=True)

    success: bool
    outcome: str

    def _repr_html_(self) -> str:
        from operatorlab.widgets import html

        return html.result(self.model_dump(mode="json"), success=self.success)


def record(*, success: bool, outcome: str, **details: object) -> None:
    """Record the result of this notebook: shown to people, and read by whoever ran the notebook."""
    from IPython.display import display

    result = Result.model_validate({"success": success, "outcome": str(outcome), **details})
    values = result.model_dump(mode="json")
    words = "success" if success else "no success"
    bundle = {MIMETYPE: values, "text/html": result._repr_html_(), "text/plain": f"{words}: {outcome}"}
    display(bundle, raw=True)  # type: ignore[no-untyped-call]


def read(notebook: Path) -> Result | None:
    """The result recorded by the last code cell of an executed notebook; None if it recorded none, or a broken one."""
    recorded = [
        output.data[MIMETYPE]
        for cell in code_cells(load(notebook))[-1:]
        for output in cell.outputs
        if output.output_type in ("display_data", "execute_result") and MIMETYPE in output.data
    ]
    if not recorded:
        return None
    try:
        return Result.model_validate(recorded[-1])
    except ValidationError:
        return None
