from __future__ import annotations

import math
from html.parser import HTMLParser

import numpy as np
import pytest

from oodseg_ros.frame import AlertState
from oodseg_ros.paths import models_dir
from oodseg_ros.ros.tools.demo.input import DemoInput, Truth
from oodseg_ros.ros.tools.demo.page import figures, line, write_page
from oodseg_ros.ros.tools.demo.run import DemoResult
from oodseg_ros.ros.tools.gallery import Gallery
from oodseg_ros.ros.tools.listener import AlertSeen, CameraSeen

SECOND = 1_000_000_000
ZERO = 1_700_000_000 * SECOND


def alert(time_s: float, state: AlertState, reason: str, nearest=None, count: int = 0) -> AlertSeen:
    stamp = 0 if state is AlertState.UNKNOWN else ZERO + round(time_s * SECOND)
    age = math.inf if state is AlertState.UNKNOWN else 0.08
    return AlertSeen(ZERO + round((time_s + 0.08) * SECOND), "front", state, reason, stamp, age, count, nearest, 0.9)


@pytest.fixture
def result() -> DemoResult:
    from oodseg_ros.bundle import load_bundle

    if not (models_dir() / "road_lite" / "model.yaml").is_file():
        pytest.skip("the shipped bundle is not here")
    gallery = Gallery()
    for index in range(3):
        gallery.offer("front", ZERO + index * SECOND, np.full((20, 30, 3), 80 * index, np.uint8))
    seen = CameraSeen(
        alerts=[
            alert(-0.5, AlertState.UNKNOWN, "starting"),
            alert(0.0, AlertState.CLEAR, "ok"),
            alert(1.0, AlertState.OBSTACLE, "obstacle", (9.0, 12.0), 1),
            alert(2.0, AlertState.OBSTACLE, "obstacle", (5.0, math.inf), 2),
        ],
        latency_s={ZERO + index * SECOND: 0.1 * (index + 1) for index in range(3)},
        account={"frames_received": "4", "frames_answered": "3", "dropped_overwritten": "1", "dropped_too_old": "0"},
    )
    stamps = [ZERO + index * SECOND for index in range(5)]
    truth = {stamp: Truth(int(index > 0), 30.0 - 10 * index if index else None) for index, stamp in enumerate(stamps)}
    engine = {"engine": "openvino <x>", "golden_error": "1e-05"}
    return DemoResult(
        load_bundle("road_lite"), {"front": seen}, gallery, engine, {"front": stamps}, truth, 4.0, 5.0, 6.5
    )


def given() -> DemoInput:
    return DemoInput("drive <3>", "scenes", ("front",), 5, (30, 20), iter(()))


class Texts(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.images: list[str] = []
        self.in_row = False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
            self.in_row = True
        if tag == "img":
            self.images.append(dict(attrs)["src"])

    def handle_endtag(self, tag):
        self.in_row = self.in_row and tag != "tr"

    def handle_data(self, data):
        if self.in_row and data.strip():
            self.rows[-1].append(data.strip())


def test_page_tells_what_was_seen(result, tmp_path):
    write_page(result, given(), tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text()
    found = Texts(page)
    assert ["unknown object in sight", "0", "2", "0"] in found.rows
    assert ["nothing unknown in sight", "1", "0", "0"] in found.rows
    assert ["front", "5", "1", "4", "3", "1 overwritten", "3", "200 ms", "290 ms", "298 ms", "300 ms"] in found.rows
    assert any(row[:3] == ["0.08", "front", "CLEAR"] for row in found.rows)
    assert len(found.images) == 4
    assert all(source.startswith("data:image/") for source in found.images)
    assert "drive &lt;3&gt;" in page
    assert "openvino &lt;x&gt;" in page
    assert "<script" not in page
    assert list(tmp_path.iterdir()) == [tmp_path / "index.html"]


def test_an_early_end_leaves_a_page_too(result, tmp_path):
    empty = DemoResult(result.bundle, {"front": CameraSeen()}, Gallery(), interrupted=True)
    write_page(empty, given(), tmp_path / "index.html")
    assert "ended early by Ctrl-C" in (tmp_path / "index.html").read_text()
    numbers = figures(empty)
    assert numbers["latency_s"]["p50"] is None
    assert numbers["first_obstacle_s"] is None


def test_figures_are_plain(result):
    numbers = figures(result)
    assert (numbers["sent"], numbers["answered"], numbers["first_obstacle_s"]) == (5, 3, 6.5)
    assert numbers["latency_s"]["max"] == pytest.approx(0.3)


def test_lines_are_readable():
    obstacle = line(alert(1, AlertState.OBSTACLE, "obstacle", (9.0, 12.0), 2), 1.25)
    for part in ("1.25 s", "front", "OBSTACLE", "2 unknown obstacles", "12", "80 ms old"):
        assert part in obstacle
    assert "1 unknown obstacle, score 0.90" in line(alert(1, AlertState.OBSTACLE, "obstacle", None, 1), 0)
    assert "no unknown obstacle" in line(alert(1, AlertState.CLEAR, "ok"), 0)
    unknown = line(alert(1, AlertState.UNKNOWN, "no_image"), 0)
    assert "no image" in unknown
    assert "old" not in unknown


def test_an_alert_that_is_being_released_says_so():
    text = line(alert(1.0, AlertState.OBSTACLE, "releasing"), 1.0)
    assert "not in this frame (releasing)" in text
    assert "nan" not in text
    assert "1 unknown obstacle, nearest at" in line(alert(1.0, AlertState.OBSTACLE, "obstacle", (9.0, 12.0), 1), 1.0)
