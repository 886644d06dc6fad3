"""What the panels have in common: a widget while a cell runs, plain HTML once it has ended.

One mimebundle carries both, so a notebook killed in the middle still shows the last HTML. When the cell
ends, `Settled` takes the widget's place: no comm stays open, and the saved file needs no kernel.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import anywidget
import traitlets

HERE = Path(__file__).parent
Bundle = tuple[dict[str, Any], dict[str, Any]]


class View(Protocol):
    """What a panel shows: a frozen dataclass of plain values that can say itself in one line."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __str__(self) -> str: ...


V = TypeVar("V", bound=View)


class Panel(anywidget.AnyWidget, Generic[V]):
    """A live view of a value. `show` sends it to the browser; equal values are not sent twice."""

    _css = HERE / "panel.css"
    view = traitlets.Dict().tag(sync=True)

    def __init__(self, first: V) -> None:
        self._shown = first
        super().__init__(view=asdict(first))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._shown}>"

    def show(self, view: V) -> None:
        """Replace what is shown."""
        if view != self._shown:
            self._shown = view
            self.view = asdict(view)

    @property
    def shown(self) -> V:
        """What is shown now."""
        return self._shown

    def close(self) -> None:
        """Close the comms; ipywidgets gives each widget a second one for its layout and leaves that open."""
        self.layout.close()
        super().close()

    def settled(self) -> Settled:
        """What is shown now, as it is to stay."""
        return Settled(self.static(), str(self._shown))

    @abstractmethod
    def static(self) -> str:
        """The same view as HTML that needs no kernel."""

    def _repr_mimebundle_(self, **kwargs: Any) -> Bundle | None:
        live = super()._repr_mimebundle_(**kwargs)
        if live is None:
            return None
        data, metadata = live
        return {**data, **self.settled().bundle}, metadata


@dataclass(frozen=True, slots=True)
class Settled:
    """A panel that has ended: HTML and text, no widget."""

    html: str
    text: str

    @property
    def bundle(self) -> dict[str, str]:
        """By mimetype."""
        return {"text/html": self.html, "text/plain": self.text}

    def _repr_mimebundle_(self, **kwargs: object) -> dict[str, str]:
        return self.bundle
