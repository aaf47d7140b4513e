"""Which extra a missing Python module belongs to, by this package's metadata: a command names it."""

from __future__ import annotations

import re
from importlib import metadata

MODULES = {"sklearn": "scikit-learn", "tensorrt_rtx": "tensorrt-rtx-cu13-bindings"}
"""Modules whose distribution has another name."""
ROS = ("rclpy", "launch", "cv_bridge", "tf2_ros", "ament_index_python", "builtin_interfaces")


def advice(module: str | None) -> str:
    """How to get a module that cannot be imported: an extra of this package, or a ROS 2.

    >>> advice("rclpy")
    'rclpy is not installed: source a ROS 2, or run `make setup`, which brings one from PyPI'
    """
    top = (module or "a Python package").partition(".")[0]
    if top in ROS or top.endswith(("_msgs", "_srvs")):
        return f"{top} is not installed: source a ROS 2, or run `make setup`, which brings one from PyPI"
    if extra := extra_of(MODULES.get(top, top)):
        return (
            f"{top} is not installed: pip install '.[{extra}]' in the checkout (extra `{extra}`), or run `make setup`"
        )
    return f"{top} is not installed: pip install . in the checkout, or run `make setup`"


def extra_of(distribution: str) -> str | None:
    """The extra of this package that requires a distribution; None = none does, or the package is not installed."""
    try:
        requires = metadata.requires("oodseg_ros") or []
    except metadata.PackageNotFoundError:
        return None
    for text in requires:
        name, extra = re.match(r"[\w.-]+", text), re.search(r"extra *== *['\"](\w+)['\"]", text)
        if name and extra and _normal(name[0]) == _normal(distribution):
            return extra[1]
    return None


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
