"""The node refuses a bundle that is not signed by the key of its parameter `public_key`."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy")

from oodseg_ros.errors import BundleError, EngineError
from oodseg_ros.parameters.schema import load_schema
from oodseg_ros.parameters.settings import make_settings
from oodseg_ros.ros.node.loading import load_runner
from oodseg_ros.signatures import make_keys, sign_bundle


def load(bundle: Path, key: Path) -> None:
    values = {name: spec.default for name, spec in load_schema().specs(["camera"]).items()}
    # An engine that does not exist: what is asked here comes before it.
    values |= {"bundle": str(bundle), "public_key": str(key), "engine": "none"}
    load_runner(make_settings(values), SimpleNamespace(info=logging.info, warning=logging.warning))


def test_unsigned_is_refused_signed_goes_on_to_the_engine(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "tiny"))
    public = make_keys(tmp_path / "maker")
    with pytest.raises(BundleError, match="is not signed"):
        load(bundle, public)
    sign_bundle(bundle, tmp_path / "maker")
    with pytest.raises(EngineError, match="unknown engine 'none'"):
        load(bundle, public)
