"""Engines on disk: found only by what they were built for, whole or not at all."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from oodseg_ros.bundle import Bundle, load_bundle
from oodseg_ros.errors import EngineError
from oodseg_ros.inference.engine_cache import (
    EngineIdentity,
    SideCar,
    accepted_at_any_size,
    default_dir,
    draft,
    engine_dirs,
    find,
    remove,
    stored,
)
from oodseg_ros.object_rule import Objects, SecondLook, Strip


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.setenv("OODSEG_CACHE", str(tmp_path / "cache"))
    return load_bundle(shutil.copytree(tiny_bundle, tmp_path / "tiny"))


@pytest.fixture
def identity(bundle: Bundle) -> EngineIdentity:
    return EngineIdentity(
        bundle=bundle.card.name,
        weights=bundle.weights_hash,
        height=64,
        width=128,
        batch=1,
        precision="fp16",
        architecture="sm_89",
        runtime="tensorrt-10.15.1",
        code="c" * 64,
    )


def build(identity: EngineIdentity, folder: Path | None = None, accepted: bool = True, content: bytes = b"x") -> None:
    with draft(identity, folder or default_dir()) as place:
        place.path(".plan").write_bytes(content)
        place.store(accepted, reason="" if accepted else "no device was there to accept it on")


def test_what_was_kept_is_found_and_whole(bundle: Bundle, identity: EngineIdentity) -> None:
    build(identity, content=b"engine")
    (engine,) = find(bundle, identity)
    engine.verify()
    assert engine.path(".plan").read_bytes() == b"engine"
    assert engine.side.identity == identity
    assert engine.path(".plan").name == (
        f"tiny-{bundle.weights_hash[:12]}-128x64-b1-fp16-sm_89-tensorrt-10.15.1-cccccccc.plan"
    )


def _build_and_fail(identity: EngineIdentity) -> None:
    with draft(identity, default_dir()) as place:
        place.path(".plan").write_bytes(b"half")
        raise RuntimeError("compiler")


@pytest.mark.parametrize(
    ("change", "phrase"),
    [
        ({"weights": "f" * 64}, "weights ffffffffffff instead of"),
        ({"height": 96}, "height 96 instead of 64"),
        ({"width": 256}, "width 256 instead of 128"),
        ({"batch": 4}, "batch 4 instead of 1"),
        ({"precision": "int8"}, "precision int8 instead of fp16"),
        ({"architecture": "sm_120"}, "architecture sm_120 instead of sm_89"),
        ({"runtime": "tensorrt-10.3.0"}, "runtime tensorrt-10.3.0 instead of tensorrt-10.15.1"),
        ({"code": "d" * 64}, "code dddddddddddd instead of cccccccccccc"),
    ],
)
def test_a_foreign_engine_is_refused_with_what_differs(
    bundle: Bundle, identity: EngineIdentity, change: dict, phrase: str
) -> None:
    build(replace(identity, **change))
    with pytest.raises(EngineError) as refusal:
        find(bundle, identity)
    assert phrase in str(refusal.value)
    command = f"oodseg build {bundle.path} --engine tensorrt --precision fp16 --size 128x64 --batch 1"
    assert command in str(refusal.value)


def test_any_batch_will_do_where_asked(bundle: Bundle, identity: EngineIdentity) -> None:
    build(replace(identity, batch=4))
    build(replace(identity, batch=2))
    assert [engine.side.identity.batch for engine in find(bundle, identity, any_batch=True)] == [2, 4]


def test_an_empty_cache_says_where_it_looked(bundle: Bundle, identity: EngineIdentity) -> None:
    with pytest.raises(EngineError, match=r"no tensorrt engine .* in .*engines or .*engines; run: oodseg"):
        find(bundle, identity)


def test_engines_of_another_kind_are_not_called_near(bundle: Bundle, identity: EngineIdentity) -> None:
    build(replace(identity, runtime="openvino-2026.4"))
    with pytest.raises(EngineError) as refusal:
        find(bundle, identity)
    assert "openvino" not in str(refusal.value)


def test_an_engine_beside_the_bundle_is_found(bundle: Bundle, identity: EngineIdentity) -> None:
    build(identity, bundle.path / "engines")
    assert find(bundle, identity)[0].folder == engine_dirs(bundle)[0]


def test_what_is_not_accepted_is_not_loaded(bundle: Bundle, identity: EngineIdentity) -> None:
    build(identity, accepted=False)
    assert stored(bundle) == []
    assert len(stored(bundle, pending=True)) == 1
    with pytest.raises(EngineError, match="it is built, but no device was there to accept it on; run: oodseg build"):
        find(bundle, identity)


def test_moving_a_side_car_does_not_accept_an_engine(bundle: Bundle, identity: EngineIdentity) -> None:
    build(identity, accepted=False)
    (pending,) = stored(bundle, pending=True)
    for file in pending.folder.iterdir():
        file.rename(default_dir() / file.name)
    assert stored(bundle) == []


def test_a_changed_file_is_noticed(bundle: Bundle, identity: EngineIdentity) -> None:
    build(identity)
    (engine,) = find(bundle, identity)
    engine.path(".plan").write_bytes(b"y")
    with pytest.raises(EngineError, match="changed or damaged; build it again"):
        engine.verify()


def test_a_broken_build_leaves_nothing(bundle: Bundle, identity: EngineIdentity) -> None:
    with pytest.raises(RuntimeError, match="compiler"):
        _build_and_fail(identity)
    with draft(identity, default_dir()) as place:
        place.path(".plan").write_bytes(b"refused by the gate")
    assert list(default_dir().iterdir()) == []


def test_a_damaged_neighbor_stops_nobody(bundle: Bundle, identity: EngineIdentity) -> None:
    build(identity)
    (default_dir() / "tiny-broken.json").write_text("{")
    (default_dir() / "tiny-old.json").write_text('{"schema": 0}')
    assert len(find(bundle, identity)) == 1
    with pytest.raises(EngineError, match="build it again"):
        SideCar.read(default_dir() / "tiny-broken.json")


def test_a_new_build_replaces_the_old_and_removal_leaves_nothing(bundle: Bundle, identity: EngineIdentity) -> None:
    build(identity, content=b"old")
    build(identity, content=b"new")
    (engine,) = find(bundle, identity)
    engine.verify()
    assert engine.path(".plan").read_bytes() == b"new"
    remove(engine)
    assert list(default_dir().iterdir()) == []


def test_a_place_that_cannot_be_written_is_said(bundle: Bundle, identity: EngineIdentity, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EngineError, match="cannot be written"), draft(identity, tmp_path / "file"):
        pass


def test_a_refusal_names_every_way_on(bundle: Bundle, identity: EngineIdentity) -> None:
    wanted = replace(identity, runtime="torch-2.13", architecture="x86_64", precision="bf16")
    build(replace(wanted, height=96, width=160))
    build(replace(wanted, precision="int8"))
    with pytest.raises(EngineError) as raised:
        find(bundle, wanted)
    told = str(raised.value)
    assert f"run: oodseg build {bundle.path} --engine torch --precision bf16 --size 128x64" in told
    assert "--precision fp32, which needs no build and takes every size" in told
    assert "--precision int8, which is built for this size" in told
    assert "frames of 160x96, for which bf16 is built" in told


def test_a_missing_engine_of_a_strip_is_called_that(bundle: Bundle, identity: EngineIdentity) -> None:
    objects = Objects(grow=-2, seed=0.5, beside=0)
    look = SecondLook(zoom=1.5, grow=-2, above=-1, below=0, strip=Strip())
    calibration = bundle.card.calibration.model_copy(update={"objects": objects, "second_look": look})
    bundle = replace(bundle, card=bundle.card.model_copy(update={"calibration": calibration}))
    fine, strip = (replace(identity, height=side, width=256, precision="int8") for side in (128, 32))
    build(fine)
    with pytest.raises(EngineError, match=r"strip that a second look sees of fine cameras, like 256x\d+") as raised:
        find(bundle, strip)
    assert "--size 256x32 --batch 1 --calibration FRAMES_OF_YOUR_CAMERA" in str(raised.value)
    assert "frames of" not in str(raised.value), "256x128 does not run without its strip"
    build(strip)
    with pytest.raises(EngineError, match="frames of 256x128, for which int8 is built") as raised:
        find(bundle, replace(fine, height=160))
    assert "256x32" not in str(raised.value).partition("or take")[2]


def test_nothing_is_offered_that_is_not_there(bundle: Bundle, identity: EngineIdentity) -> None:
    with pytest.raises(EngineError) as raised:
        accepted_at_any_size(bundle, identity)
    told = str(raised.value)
    assert told.endswith("--engine tensorrt --precision fp16 --size WIDTHxHEIGHT")  # tensorrt runs nothing unbuilt
    assert "or take" not in told
