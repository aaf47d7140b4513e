import re

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure

from oodseg_ros.evaluation.report.page import html


def whole_page() -> str:
    image = np.zeros((60, 90, 3), np.uint8)
    image[..., 0] = 200
    plot = Figure(figsize=(3, 2))
    plot.subplots().plot([0, 1], [1, 0])
    return html.page(
        "Report <1>",
        [
            html.cards([("AP", "0.512", "pooled")]),
            html.section(
                "Figures & frames",
                html.table(["set", "AP"], [["road & co", 0.5], ["<b>", 0.25]], caption="one"),
                html.pairs([("bundle", "a@b")]),
                html.gallery(
                    [
                        html.figure(html.image_uri(image), 'a "quoted" caption'),
                        html.figure(html.plot_uri(plot), "curve"),
                    ]
                ),
                html.details("more", html.text("oodseg <x>\nsecond")),
            ),
        ],
        subtitle="sub",
        footer="foot",
    )


def test_text_is_escaped_and_markup_is_not():
    page = whole_page()
    assert "<title>Report &lt;1&gt;</title>" in page
    assert "<td>&lt;b&gt;</td>" in page
    assert "Figures &amp; frames" in page
    assert 'alt="a &#34;quoted&#34; caption"' in page
    assert "&lt;table" not in page


def test_nothing_is_loaded_and_nothing_runs():
    page = whole_page()
    assert "<script" not in page
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert sources
    assert all(source.startswith("data:") for source in sources)
    assert "url(" not in page
    assert "default-src 'none'" in page


def test_numbers_are_aligned_and_text_is_not():
    assert "<td class=number>0.5</td>" in html.table(["x"], [[0.5]])
    assert "<td class=number>2</td>" in html.table(["x"], [[np.int64(2)]])
    assert "<td>True</td>" in html.table(["x"], [[True]])


@pytest.mark.parametrize("max_width", [None, 30])
def test_images_keep_color_and_aspect(max_width):
    import base64

    image = np.full((20, 60, 3), (250, 20, 20), np.uint8)
    data = base64.b64decode(html.image_uri(image, max_width=max_width).split(",")[1])
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert decoded.shape == ((20, 60, 3) if max_width is None else (10, 30, 3))
    assert np.abs(decoded.astype(int) - (250, 20, 20)).max() < 12
