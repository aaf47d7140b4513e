"""vision_msgs: the project's own definitions are the real ones by type hash, and the package is optional."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from oodseg_ros.ros.messages.detections import VISION_MSGS

needs_vision_msgs = pytest.mark.skipif(not VISION_MSGS, reason="vision_msgs is neither installed nor generated")

# Of the released vision_msgs 4: what decides whether two ROS 2 machines understand each other.
TYPE_HASHES = {
    "Detection2DArray": "RIHS01_214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968",
    "Detection3DArray": "RIHS01_793f5eab9595ac1c0da07873cc859db42eae51f0ee76056db8562515d830e018",
    "Detection2D": "RIHS01_0d12b69df5c593b3455b7346fac8205437a7d4bcb09b9e0e0b2dde787ded38ea",
    "LabelInfo": "RIHS01_3d37df4015cdf660cc851c51897f2acd957e1ca6205ba0a99aebffb9406b0783",
    "VisionClass": "RIHS01_1e4a11f0fed50b5623cb8ff26ca0e37952a48a9c074d16f804b44e9164c2037a",
}


@needs_vision_msgs
@pytest.mark.parametrize("name", TYPE_HASHES)
def test_type_hashes_are_those_of_the_released_package(name):
    file = Path(sys.prefix, "share", "vision_msgs", "msg", f"{name}.json")
    if not file.is_file():
        pytest.skip("vision_msgs comes from a sourced ROS 2")
    hashes = {entry["type_name"]: entry["hash_string"] for entry in json.loads(file.read_text())["type_hashes"]}
    assert hashes[f"vision_msgs/msg/{name}"] == TYPE_HASHES[name]


def test_without_vision_msgs_the_module_loads_and_says_what_to_install():
    code = """
import sys
sys.modules["vision_msgs"] = None
from oodseg_ros.ros.messages import detections as module
assert module.VISION_MSGS is False
for call in (module.to_detections, module.to_detections_3d, module.to_label_info):
    try:
        call([], None)
    except RuntimeError as error:
        assert "install ros-<distro>-vision-msgs" in str(error), error
    else:
        raise AssertionError(call)
print("fine")
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "fine", result.stderr
