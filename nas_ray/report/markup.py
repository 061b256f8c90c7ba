"""HTML from data that nobody vouches for: every leaf escapes, only these functions write tags."""

import html
import io
import re
from collections.abc import Iterable, Sequence
from typing import NewType

from matplotlib import rc_context
from matplotlib.figure import Figure

from nas_ray.report.canvas import INK

#: Text that is already HTML. Only this module makes it, so mypy finds what was not escaped.
Html = NewType("Html", str)

_CSS = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid var(--line); text-align: right; }
th { vertical-align: bottom; } th:first-child, td:first-child { text-align: left; }
td { white-space: nowrap; } tr.first td { background: var(--soft); }
table.words td, table.words th { text-align: left; white-space: normal; }
pre { background: var(--soft); padding: .8rem; overflow-x: auto; white-space: pre-wrap; }
figure { margin: 1rem 0; } svg { max-width: 100%; height: auto; } summary { cursor: pointer; }
"""


def escape(text: object) -> Html:
    """`text` as it is to be read: no character of it is markup."""
    return Html(html.escape(str(text)))


def paragraph(text: str) -> Html:
    """A paragraph."""
    return Html(f"<p>{escape(text)}</p>")


def preformatted(text: str) -> Html:
    """Text whose line breaks count: a command, a traceback."""
    return Html(f"<pre>{escape(text)}</pre>")


def table(
    head: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    first: Sequence[object] | None = None,
    words: bool = False,
) -> Html:
    """A table; `first` is a row above the others that stands out, `words` are set to the left."""
    head_cells = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = [_row(first, ' class="first"')] if first is not None else []
    body += [_row(cells) for cells in rows]
    return Html(
        f'<div class="wide"><table{" class=words" if words else ""}><thead><tr>{head_cells}</tr>'
        f"</thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _row(cells: Sequence[object], attributes: str = "") -> Html:
    return Html(f"<tr{attributes}>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>")


def details(summary: str, content: Html) -> Html:
    """Content that opens under its summary."""
    return Html(f"<details><summary>{escape(summary)}</summary>{content}</details>")


def section(title: str, *parts: Html) -> Html:
    """Parts under a heading."""
    return Html(f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>")


def picture(figure: Figure, name: str, description: str) -> Html:
    """A figure as inline SVG in the text colour of the page; `name` must be unique on the page."""
    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    # HTML knows SVG without namespaces; what is left names no other place.
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = svg.replace(INK, "currentColor")
    label = f'role="img" aria-label="{escape(description)}"'
    return Html(f"<figure>{svg.replace('<svg', f'<svg {label}', 1)}</figure>")


def document(title: str, *parts: Html) -> Html:
    """A whole page that needs nothing but itself."""
    return Html(
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_CSS}</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n{chr(10).join(parts)}\n</body>\n</html>\n"
    )
