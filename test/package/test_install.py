"""colcon and pip really install the package, and it finds its data from where it lies then."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROBE = "from oodseg_ros import paths; print(paths.share_dir()); print(paths.__file__)"
FILES = ("launch/perception.launch.py", "config/perception.yaml", "config/labels/driving11.yaml", "package.xml")


def clean_environment(**more: str) -> dict[str, str]:
    """No trace of this checkout, of another ROS workspace, or of the wheels' start-up in the environment."""
    banned = (
        "PYTHONPATH",
        "AMENT_PREFIX_PATH",
        "COLCON_PREFIX_PATH",
        "LD_LIBRARY_PATH",
        "_ROS_WHEELS_BOOTSTRAP_COMPLETE",
    )
    environment = {name: value for name, value in os.environ.items() if name not in banned}
    # colcon asks the Python that is first on the PATH.
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
    return {**environment, **more}


def run(command: list[str], folder: Path, **more: str) -> str:
    done = subprocess.run(
        command, cwd=folder, env=clean_environment(**more), text=True, capture_output=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A workspace with a copy of what version control holds or would hold."""
    workspace = tmp_path_factory.mktemp("workspace")
    ignored = shutil.ignore_patterns(
        ".venv", ".git", "out", "build", "install", "log", "__pycache__", "*.egg-info", ".*_cache"
    )
    shutil.copytree(ROOT, workspace / "src" / "oodseg_ros", ignore=ignored)
    return workspace


def check_share(lines: list[str], share: Path) -> None:
    assert Path(lines[0]).resolve() == share.resolve()
    assert not Path(lines[1]).resolve().is_relative_to(ROOT), "the checkout was used instead of the installation"
    for file in FILES:
        assert (share / file).is_file(), file


def test_checkout_is_its_own_share():
    from oodseg_ros import paths

    assert paths.share_dir() == ROOT


def test_no_data_files_is_said(tmp_path, monkeypatch):
    from oodseg_ros import paths

    lonely = tmp_path / "a" / "b" / "oodseg_ros" / "paths.py"
    monkeypatch.setattr(paths, "__file__", str(lonely))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setenv("AMENT_PREFIX_PATH", "")
    with pytest.raises(FileNotFoundError, match="colcon build"):
        paths.share_dir()


@pytest.mark.slow
def test_colcon_sees_an_ament_python_package(source):
    pytest.importorskip("colcon_ros")
    assert run(["colcon", "list"], source).split() == ["oodseg_ros", "src/oodseg_ros", "(ros.ament_python)"]


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--symlink-install"]], ids=["copied", "linked"])
def test_colcon_build(source, tmp_path, options):
    pytest.importorskip("colcon_ros")
    places = ["--build-base", str(tmp_path / "build"), "--install-base", str(tmp_path / "install")]
    run(["colcon", "--log-base", str(tmp_path / "log"), "build", *places, *options], source)
    prefix = tmp_path / "install" / "oodseg_ros"
    for executable in ("perception", "oodseg"):
        file = prefix / "lib" / "oodseg_ros" / executable
        assert os.access(file, os.X_OK)
        # The scripts of --symlink-install run with the Python that colcon runs with.
        assert options or file.read_text().startswith("#!/usr/bin/env python3")
    for file in FILES:
        assert (prefix / "share" / "oodseg_ros" / file).is_file(), file
    sourced = f'. "{tmp_path}/install/setup.sh"'
    shell = f'{sourced} && python -c "{PROBE}" && echo "$AMENT_PREFIX_PATH"'
    lines = run(["sh", "-c", shell], tmp_path).splitlines()
    assert str(prefix) in lines[2].split(os.pathsep)
    share = source / "src" / "oodseg_ros" if options else prefix / "share" / "oodseg_ros"
    check_share(lines, share)
    assert "demo" in run(["sh", "-c", f'{sourced} && "{prefix}/lib/oodseg_ros/oodseg" --help'], tmp_path)


@pytest.mark.slow
def test_pip_install_into_a_fresh_environment(source, tmp_path):
    wheels = ["-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path / "wheels")]
    run([sys.executable, *wheels, str(source / "src" / "oodseg_ros")], tmp_path)
    run([sys.executable, "-m", "venv", str(tmp_path / "fresh")], tmp_path)
    python = str(tmp_path / "fresh" / "bin" / "python")
    wheel = next((tmp_path / "wheels").glob("*.whl"))
    # --no-index and --no-deps: what is tested is this package, not the network.
    run([python, "-m", "pip", "install", "--no-index", "--no-deps", str(wheel)], tmp_path)
    check_share(run([python, "-c", PROBE], tmp_path).splitlines(), tmp_path / "fresh" / "share" / "oodseg_ros")
    for executable in ("perception", "oodseg"):
        assert os.access(tmp_path / "fresh" / "bin" / executable, os.X_OK)
    assert (tmp_path / "fresh" / "share" / "ament_index" / "resource_index" / "packages" / "oodseg_ros").is_file()


@pytest.mark.slow
def test_pip_install_with_its_requirements_into_an_empty_environment(source, tmp_path):
    """Gigabytes where the index has no CPU build of torch; the commands work, and one that lacks an extra says so."""
    fresh = tmp_path / "fresh" / "bin"
    run([sys.executable, "-m", "venv", str(fresh.parent)], tmp_path)
    install = [str(fresh / "python"), "-m", "pip", "install", "--quiet", str(source / "src" / "oodseg_ros")]
    done = subprocess.run(
        install, cwd=tmp_path, env=clean_environment(), text=True, capture_output=True, timeout=3000, check=False
    )
    if "Could not find a version" in done.stderr and "torch" in done.stderr:
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    oodseg = str(fresh / "oodseg")
    assert "road_lite" in run([oodseg, "info", "road_lite"], tmp_path)
    run([oodseg, "run", "road_lite", "scenes:5", "--limit", "2", "--out", "out"], tmp_path)
    assert any((tmp_path / "out").iterdir())
    for command, words in (
        (["train", str(ROOT / "config" / "train" / "road_lite.yaml"), "--out", "t"], "extra `train`"),
        (["export-onnx", "road_lite", "--size", "128x64", "--out", "x.onnx"], "extra `build`"),
        (["demo"], "source a ROS 2"),
    ):
        done = subprocess.run(
            [oodseg, *command], cwd=tmp_path, env=clean_environment(), text=True, capture_output=True, timeout=600
        )
        assert done.returncode == 2, command
        assert words in done.stderr, done.stderr
