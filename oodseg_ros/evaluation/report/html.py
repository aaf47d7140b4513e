"""Self-contained HTML pages: one file, no network, no script; readable on a phone, in the dark and in print.

Every function returns `Html`, a string that is already markup; anything else that is put into a page is escaped. A
policy in the page's head forbids the browser to load anything, so a page that works here works anywhere.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ...paths import config_dir

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Html(str):
    """Markup; everything that is not `Html` is escaped when it is put into a page."""


def text(value: Any) -> Html:
    """Any value as markup: `Html` as it is, the rest escaped."""
    return value if isinstance(value, Html) else Html(html.escape(str(value)))


def join(parts: Iterable[Any]) -> Html:
    """Parts one after the other."""
    return Html("\n".join(map(text, parts)))


def page(title: str, parts: Iterable[Any], subtitle: Any = "", footer: Any = "") -> str:
    """A whole document.

    Args:
        title: shown as heading and in the tab.
        parts: sections and other markup.
        subtitle, footer: one line each.
    """
    style = (config_dir() / "page.css").read_text()
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'">
<title>{text(title)}</title>
<style>
{style}</style>
</head>
<body>
<header><h1>{text(title)}</h1><p>{text(subtitle)}</p></header>
<main>
{join(parts)}
</main>
<footer>{text(footer)}</footer>
</body>
</html>
"""


def section(heading: str, *parts: Any, note: Any = "") -> Html:
    """A heading, a line of explanation and content."""
    lead = f'<p class="note">{text(note)}</p>' if note else ""
    return Html(f"<section><h2>{text(heading)}</h2>{lead}\n{join(parts)}\n</section>")


def cards(items: Iterable[tuple[Any, Any, Any]]) -> Html:
    """Headline figures: (name, value, small print)."""
    body = "".join(
        f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd><dd class=small>{text(small)}</dd></div>"
        for name, value, small in items
    )
    return Html(f'<dl class="cards">{body}</dl>')


def table(columns: Sequence[Any], rows: Iterable[Sequence[Any]], caption: Any = "") -> Html:
    """Columns that hold numbers are aligned right; a wide table scrolls inside itself."""
    head = "".join(f"<th scope=col>{text(column)}</th>" for column in columns)
    body = "\n".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in rows)
    title = f"<caption>{text(caption)}</caption>" if caption else ""
    return Html(
        f'<div class="wide"><table>{title}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'
    )


def pairs(items: Iterable[tuple[Any, Any]]) -> Html:
    """Names and values, e.g. provenance."""
    rows = "".join(f"<tr><th scope=row>{text(name)}</th><td>{text(value)}</td></tr>" for name, value in items)
    return Html(f'<div class="wide"><table class="pairs"><tbody>{rows}</tbody></table></div>')


def figure(source: str, caption: Any = "", alt: str = "", enlarge: bool = True) -> Html:
    """An image from a data URI; a click, or space on the keyboard, shows it as large as the window and back."""
    alt = html.escape(alt or str(caption), quote=True)
    image = f'<img src="{source}" alt="{alt}">'
    if enlarge:
        image = f'<label class="zoom"><input type="checkbox" aria-label="enlarge: {alt}">{image}</label>'
    return Html(f"<figure>{image}<figcaption>{text(caption)}</figcaption></figure>")


def gallery(figures: Iterable[Html], width: int = 300) -> Html:
    """Figures side by side, each at least `width` CSS pixels wide, as many to a row as fit."""
    return Html(f'<div class="gallery" style="--least:{int(width)}px">{join(figures)}</div>')


def details(summary: Any, *parts: Any, is_open: bool = False) -> Html:
    """Content behind a line to click; printed unfolded where the browser can."""
    return Html(f"<details{' open' if is_open else ''}><summary>{text(summary)}</summary>{join(parts)}</details>")


def code(value: Any) -> Html:
    """Monospaced text that keeps its line breaks."""
    return Html(f"<pre><code>{text(value)}</code></pre>")


def image_uri(image: np.ndarray, quality: int = 85, max_width: int | None = None) -> str:
    """RGB uint8 `[H, W, 3]` as a JPEG data URI, made smaller if wider than `max_width`."""
    if max_width and image.shape[1] > max_width:
        size = (max_width, max(1, round(image.shape[0] * max_width / image.shape[1])))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data_uri("image/jpeg", data.tobytes())


def plot_uri(plot: Figure) -> str:
    """A matplotlib figure as an SVG data URI."""
    stream = io.BytesIO()
    plot.savefig(stream, format="svg", bbox_inches="tight", metadata={"Date": None})
    return data_uri("image/svg+xml", stream.getvalue())


def data_uri(kind: str, data: bytes) -> str:
    """Bytes of a MIME type as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _cell(value: Any) -> str:
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    return f"<td class=number>{text(value)}</td>" if number else f"<td>{text(value)}</td>"
