import re
import shutil
import subprocess

import numpy as np
import pytest

from oodseg_ros.evaluation.evaluate import EvaluationOptions, evaluate
from oodseg_ros.evaluation.metrics.components import frame_components
from oodseg_ros.evaluation.metrics.paired_histogram import PairedHistogram
from oodseg_ros.evaluation.metrics.recall import by_foot, by_size
from oodseg_ros.evaluation.report.figures import FOUND, TRUTH, choose, draw_frame, score_shares
from oodseg_ros.evaluation.report.page import write_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture
def report(runner, dataset, tmp_path):
    path = tmp_path / "report.html"
    options = EvaluationOptions()
    evaluate(runner, dataset, tmp_path, options, then=lambda found: write_report(found, dataset, path))
    return path


def test_the_page_has_every_part_and_loads_nothing(report):
    page = report.read_text()
    for heading in ("Pixel metrics", "Curves", "Objects", "Frames", "Latency", "Provenance"):
        assert f"<h2>{heading}" in page
    assert page.count("<h3>") == 2
    assert all(source.startswith("data:") for source in re.findall(r'src="([^"]*)"', page))
    assert "<script" not in page


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("size", ["1280,2000", pytest.param("390,3000", marks=pytest.mark.slow)])
def test_a_browser_shows_it_without_complaint(report, tmp_path, size):
    import cv2

    picture = tmp_path / "page.png"
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={size}", f"--screenshot={picture}"]
    done = subprocess.run([*command, report.as_uri()], capture_output=True, text=True, timeout=120, check=False)
    assert picture.is_file(), done.stderr
    assert "CONSOLE" not in done.stderr  # refused resources and errors of the page are told there
    shot = cv2.imread(str(picture))
    assert shot.shape[1] == int(size.split(",")[0])
    assert len(np.unique(shot.reshape(-1, 3), axis=0)) > 500  # plots and frames are drawn, not only text
    if size.startswith("390"):  # nothing sticks out to the right: the last columns are the page's margin
        assert len(np.unique(shot[:, -6:].reshape(-1, 3), axis=0)) == 1


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_it_can_be_printed(report, tmp_path):
    target = tmp_path / "page.pdf"
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    subprocess.run(
        [*command, f"--print-to-pdf={target}", report.as_uri()], capture_output=True, timeout=120, check=True
    )
    assert target.read_bytes().startswith(b"%PDF")
    assert target.stat().st_size > 20_000


def test_frames_are_chosen_by_their_figure():
    rows = [{"AP": value} for value in (0.5, float("nan"), 0.1, 0.9, 0.3)]
    assert choose(rows, "AP", best=2, worst=2) == ([3, 0], [2, 4])
    assert choose(rows[:1], "AP", best=2, worst=2) == ([], [0])
    assert choose([{}], "AP", best=2, worst=2) == ([], [])


def test_outlines_void_and_unjudged_pixels_are_drawn():
    image = np.full((30, 40, 3), 90, np.uint8)
    label = np.zeros((30, 40), np.uint8)
    label[5:12, 5:12] = 1
    label[25:] = 255
    score = np.zeros((30, 40), np.float32)
    score[14:20, 20:30] = 2
    score[0, 0] = np.nan
    drawn = draw_frame(image, score, label, 1.0, (0, 2))
    assert drawn.shape == (30, 80, 3)
    assert tuple(drawn[5, 5]) == TRUTH
    assert tuple(drawn[14, 20]) == FOUND
    assert tuple(drawn[28, 3]) == (30, 30, 30)
    assert tuple(drawn[0, 40]) == (128, 128, 128)
    assert draw_frame(
        np.zeros((20, 60, 3), np.uint8), np.zeros((20, 60)), np.zeros((20, 60), np.uint8), np.nan, (0, 1)
    ).shape == (40, 60, 3)


def test_size_classes():
    label = np.zeros((100, 200), np.uint8)
    label[5:10, 5:15] = 1  # 50 px, found
    label[40:60, 40:60] = 1  # 400 px, missed
    score = np.zeros((100, 200), np.float32)
    score[5:10, 5:15] = 1
    components = [frame_components(score, label, 0.5, "obstacle")]
    assert by_size(components) == [("0-99", 1, 1.0, 1.0), ("400-1599", 1, 0.0, 0.0)]
    assert by_size([]) == []
    assert by_foot(components, [100]) == [("0-45 %", 1, 1.0, 1.0), ("55-60 %", 1, 0.0, 0.0)]
    assert by_foot([], []) == []


def test_score_shares_sum_to_one_and_cut_the_tails():
    histogram = PairedHistogram()
    normal = np.linspace(-5, 5, 100001, dtype=np.float32)
    histogram.add(np.append(normal, [-np.inf, np.inf, 1e30]), np.float32([2, 3]))
    edges, shares = score_shares(histogram, 50)
    assert shares.sum(axis=1) == pytest.approx([1, 1])
    assert edges[0] == pytest.approx(-5, abs=0.1)
    assert edges[-1] == pytest.approx(5, abs=0.1)
    histogram = PairedHistogram()
    histogram.add(np.zeros(5, np.float32), np.zeros(0, np.float32))
    assert score_shares(histogram, 10)[1].sum(axis=1).tolist() == [1, 0]
