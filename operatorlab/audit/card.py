"""How an audit store looks in a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_TEMPLATE = """
<table>
  <caption>Audit store <code>{{ path }}</code></caption>
  <thead><tr>{% for name in counts %}<th scope="col">{{ name }}</th>{% endfor %}</tr></thead>
  <tbody><tr>{% for count in counts.values() %}<td>{{ count }}</td>{% endfor %}</tr></tbody>
  <tfoot><tr><td colspan="{{ counts | length }}">newest event <code>{{ head }}</code></td></tr></tfoot>
</table>
"""


def draw(path: Path, counts: Mapping[str, int], head: str) -> str:
    """The store as an HTML table; everything in it is escaped."""
    from jinja2 import Environment  # slow to import, and only notebooks draw

    return Environment(autoescape=True).from_string(_TEMPLATE).render(path=path, counts=counts, head=head)
