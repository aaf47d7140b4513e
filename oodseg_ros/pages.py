"""Self-contained HTML pages from the templates in `templates/`: one file, no network, no script.

Everything that a template prints is escaped. A policy in the page's head forbids the browser to load anything, so a
page that works here works anywhere.
"""

from __future__ import annotations

import base64
from functools import cache
from typing import Any

import cv2
import jinja2
import numpy as np

from .paths import config_dir


def render(template: str, **values: Any) -> str:
    """The page that `templates/<template>` makes of `values`; a name that is missing there is an error."""
    return _environment().get_template(template).render(style=(config_dir() / "page.css").read_text(), **values)


def image_uri(image: np.ndarray, quality: int = 85, max_width: int | None = None) -> str:
    """RGB uint8 `[H, W, 3]` as a JPEG data URI, made smaller if wider than `max_width`."""
    if max_width and image.shape[1] > max_width:
        size = (max_width, max(1, round(image.shape[0] * max_width / image.shape[1])))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return data_uri("image/jpeg", jpeg(image, quality))


def jpeg(image: np.ndarray, quality: int) -> bytes:
    """RGB uint8 `[H, W, 3]` as a JPEG file."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def data_uri(kind: str, data: bytes) -> str:
    """Bytes of a MIME type as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


@cache
def macros() -> Any:
    """The parts in `templates/figures.html.j2`; each returns markup."""
    return _environment().get_template("figures.html.j2").module


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
