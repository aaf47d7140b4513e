"""A command that lacks a package says which extra brings it."""

from __future__ import annotations

import re
from importlib import metadata

import pytest

from oodseg_ros import extras

REQUIRES = [
    "numpy==2.2.6",
    'nncf==3.4.0; extra == "build"',
    "scikit_learn==1.9.1 ; python_version > '3' and extra == 'evaluate'",
]


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("nncf.quantization", "extra `build`"),
        ("sklearn", "extra `evaluate`"),
        ("rclpy", "source a ROS 2"),
        ("vision_msgs.msg", "source a ROS 2"),
        ("numpy", "pip install . in"),
        (None, "a Python package is not installed"),
    ],
)
def test_advice(monkeypatch, module, text):
    monkeypatch.setattr(metadata, "requires", lambda name: REQUIRES)
    assert text in extras.advice(module)


def test_advice_where_the_package_is_not_installed(monkeypatch):
    def raises(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", raises)
    assert extras.advice("nncf") == "nncf is not installed: pip install . in the checkout, or run `make setup`"


def test_every_extra_is_a_requirements_file_and_known_to_setup_py(monkeypatch):
    import runpy
    from pathlib import Path

    import setuptools

    root = Path(__file__).resolve().parents[2]
    seen: dict = {}
    monkeypatch.setattr(setuptools, "setup", lambda **options: seen.update(options))
    monkeypatch.chdir(root)
    runpy.run_path("setup.py")
    assert any(re.match("typer==", line) for line in seen["install_requires"])
    for extra, lines in seen["extras_require"].items():
        assert lines, extra
        assert (root / "requirements" / f"{extra}.txt").is_file()
    monkeypatch.setattr(
        metadata,
        "requires",
        lambda name: [
            f'{line}; extra == "{extra}"' for extra, lines in seen["extras_require"].items() for line in lines
        ],
    )
    found = {module: extras.extra_of(extras.MODULES.get(module, module)) for module in ("lightning", "onnx", "h5py")}
    assert found == {"lightning": "train", "onnx": "build", "h5py": "evaluate"}
