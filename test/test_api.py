"""The five lines of the README, and that `import oodseg_ros` stays light."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import oodseg_ros
from oodseg_ros.errors import BundleError, ImageError
from oodseg_ros.inference.runner import Runner
from oodseg_ros.pipeline.obstacles.coherent import coherent_score
from oodseg_ros.scenes import scene

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return scene(5).image


def test_the_readmes_lines_run_as_printed(tmp_path, image) -> None:
    import cv2

    lines = re.search(r"```python\n(.*?)```", README.read_text(), re.S).group(1)
    cv2.imwrite(str(tmp_path / "road.jpg"), image[..., ::-1])
    out = subprocess.run([sys.executable, "-c", lines], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert out.returncode == 0, out.stderr
    assert (tmp_path / "seen.png").stat().st_size > 10_000


def test_a_result_is_the_runners_answer(image) -> None:
    perceive = oodseg_ros.load("road_lite")
    seen, again = perceive(image), perceive(image)
    runner = Runner.load("road_lite")
    (prediction,) = runner([image])
    np.testing.assert_array_equal(seen.labels, prediction.labels)
    rule = runner.bundle.card.calibration.objects
    np.testing.assert_array_equal(seen.score, coherent_score(prediction.published, rule, 100))
    assert seen.calibrated.dtype == np.float32
    assert 0 <= np.nanmin(seen.calibrated) <= np.nanmax(seen.calibrated) <= 1
    assert seen.names[int(seen.labels[-1, image.shape[1] // 2])] == "road"
    assert seen.obstacles == again.obstacles, "one picture knows nothing of the one before"
    assert seen.draw().shape == image.shape


@pytest.mark.parametrize(("light", "said"), [(0, "black"), (255, "over-exposed"), (None, "")])
def test_a_picture_that_the_node_would_not_judge_is_told_beside_the_answer(image, light, said) -> None:
    picture = image if light is None else np.full_like(image, light)
    seen = oodseg_ros.load("road_lite")(picture)
    assert seen.labels.shape == image.shape[:2]
    assert said in seen.bad_input
    assert bool(said) == bool(seen.bad_input)


def test_what_is_no_picture_or_no_bundle_is_said() -> None:
    with pytest.raises(BundleError, match=r"shipped bundles: .*road_lite"):
        oodseg_ros.load("no_such_bundle")
    road_lite = oodseg_ros.load("road_lite")
    with pytest.raises(ImageError):
        road_lite(np.zeros((64, 64), np.uint8))
    with pytest.raises(ImageError, match="got NoneType; was it read"):
        road_lite(None)


def test_the_package_itself_imports_nothing_heavy() -> None:
    code = "import sys, oodseg_ros; print(sorted({'torch', 'cv2', 'openvino', 'numpy'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
