"""Parts of a page: every function returns markup of the templates; anything else that is put into a page is escaped."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup as Html
from markupsafe import escape

from ...pages import data_uri as data_uri
from ...pages import image_uri as image_uri
from ...pages import macros, render

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def text(value: Any) -> Html:
    """Any value as markup: `Html` as it is, the rest escaped."""
    return escape(value)


def join(parts: Iterable[Any]) -> Html:
    """Parts one after the other."""
    return Html("\n").join(parts)


def page(title: str, parts: Iterable[Any], subtitle: Any = "", footer: Any = "") -> str:
    """A whole document.

    Args:
        title: shown as heading and in the tab.
        parts: sections and other markup.
        subtitle, footer: one line each.
    """
    return render("parts.html.j2", title=title, parts=join(parts), subtitle=subtitle, footer=footer)


def section(heading: str, *parts: Any, note: Any = "") -> Html:
    """A heading, a line of explanation and content."""
    return macros().section(heading, join(parts), note)


def cards(items: Iterable[tuple[Any, Any, Any]]) -> Html:
    """Headline figures: (name, value, small print)."""
    return macros().cards(list(items))


def table(columns: Sequence[Any], rows: Iterable[Sequence[Any]], caption: Any = "") -> Html:
    """Columns that hold numbers are aligned right; a wide table scrolls inside itself."""
    return macros().table(columns, [list(row) for row in rows], caption)


def pairs(items: Iterable[tuple[Any, Any]]) -> Html:
    """Names and values, e.g. provenance."""
    return macros().pairs(list(items))


def figure(source: str, caption: Any = "", alt: str = "", enlarge: bool = True) -> Html:
    """An image from a data URI; a click, or space on the keyboard, shows it as large as the window and back."""
    return macros().figure(source, caption, str(alt or caption), enlarge)


def gallery(figures: Iterable[Html], width: int = 300) -> Html:
    """Figures side by side, each at least `width` CSS pixels wide, as many to a row as fit."""
    return macros().gallery(list(figures), int(width))


def details(summary: Any, *parts: Any, is_open: bool = False) -> Html:
    """Content behind a line to click; printed unfolded where the browser can."""
    return macros().details(summary, join(parts), is_open)


def plot_uri(plot: Figure) -> str:
    """A matplotlib figure as an SVG data URI."""
    stream = io.BytesIO()
    plot.savefig(stream, format="svg", bbox_inches="tight", metadata={"Date": None})
    return data_uri("image/svg+xml", stream.getvalue())
