"""A bundle is verified on load; whatever is wrong with it is said in a sentence."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from oodseg_ros.bundle import load_bundle, resolve_bundle, rewrite_card, save_bundle, sha256
from oodseg_ros.errors import BundleError, UserError
from oodseg_ros.model_card import Calibration


@pytest.fixture
def copy(tiny_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "copy"))


def edit(path: Path, **changes: object) -> None:
    card = yaml.safe_load((path / "model.yaml").read_text())
    card.update(changes)
    (path / "model.yaml").write_text(yaml.safe_dump(card))


def test_a_good_bundle_loads_with_labels_and_identity(tiny_bundle: Path) -> None:
    bundle = load_bundle(tiny_bundle)
    assert bundle.labels.names[3] == "road"
    assert bundle.id == f"tiny@{bundle.weights_hash[:12]}"
    assert bundle.golden()["image"].shape == (64, 128, 3)
    assert not bundle.segmentor().training


def test_tampered_weights_are_refused(copy: Path) -> None:
    weights = copy / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    with pytest.raises(BundleError, match=r"weights\.safetensors was changed or damaged"):
        load_bundle(copy)


def test_a_missing_file_is_named(copy: Path) -> None:
    (copy / "golden.npz").unlink()
    with pytest.raises(BundleError, match=r"golden\.npz is missing"):
        load_bundle(copy)


def test_a_missing_bundle_names_what_ships(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no bundle at .*; shipped bundles: "):
        load_bundle(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"schema_version": 2}, "has schema 2, this version reads 1"),
        ({"label_set": "mars"}, "no label set named 'mars'"),
        ({"surprise": 1}, "surprise"),
        ({"input": {"channels": 4, "mean": [0] * 3, "std": [1] * 3, "pixels": 1, "multiple": 1}}, "input.channels"),
        ({"files": {"../weights.safetensors": "0"}}, "not a plain file name"),
        ({"calibration": {"threshold": 0, "table": [[1, 0], [0, 1]], "source": ""}}, "non-decreasing"),
    ],
)
def test_a_wrong_card_is_refused_with_the_reason(copy: Path, change: dict, sentence: str) -> None:
    edit(copy, **change)
    with pytest.raises(BundleError, match=sentence):
        load_bundle(copy)


def test_another_label_count_is_refused(copy: Path) -> None:
    edit(copy, label_set="cityscapes19")
    with pytest.raises(BundleError, match="11 classes, label set cityscapes19 has 19"):
        load_bundle(copy).segmentor()


def test_weights_of_another_network_are_refused(copy: Path) -> None:
    card = yaml.safe_load((copy / "model.yaml").read_text())
    card["network"]["decoder"]["channels"] = 24
    edit(copy, network=card["network"])
    with pytest.raises(BundleError, match="weights do not fit the network spec"):
        load_bundle(copy).segmentor()


@given(st.binary(max_size=300))
def test_wild_model_yaml_never_crashes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("wild")
    (path / "model.yaml").write_bytes(data)
    with pytest.raises(UserError):
        load_bundle(path)


def test_the_score_table_interpolates_and_keeps_nan() -> None:
    calibration = Calibration(threshold=0, table=[(-1, 0), (0, 0.25), (1, 1)], source="")
    np.testing.assert_allclose(calibration.calibrate(np.array([-5, -0.5, 0.5, 9])), [0, 0.125, 0.625, 1])
    assert np.isnan(calibration.calibrate(np.nan))


def test_a_name_means_a_shipped_bundle_and_a_path_a_path(tmp_path: Path) -> None:
    assert resolve_bundle("some_name").parent.name == "models"
    assert resolve_bundle(tmp_path) == tmp_path


def test_a_label_file_travels_with_the_bundle(copy: Path, tmp_path: Path) -> None:
    source = tmp_path / "mine.yaml"
    source.write_text((Path(__file__).parents[1] / "config" / "labels" / "driving11.yaml").read_text())
    bundle = load_bundle(copy)
    made = save_bundle(
        tmp_path / "made", bundle.card.model_copy(update={"label_set": str(source)}), bundle.weights(), bundle.golden()
    )
    source.unlink()
    assert load_bundle(tmp_path / "made").labels.names == bundle.labels.names
    assert made.card.label_set == "labels.yaml"
    (tmp_path / "made" / "labels.yaml").write_text("classes: []")
    with pytest.raises(BundleError, match=r"labels\.yaml was changed"):
        load_bundle(tmp_path / "made")


@pytest.mark.parametrize("label_set", ["/etc/labels.yaml", "../labels.yaml", "other.yaml", "../driving11", "a/b"])
def test_a_card_names_no_file_outside_the_bundle(copy: Path, label_set: str) -> None:
    edit(copy, label_set=label_set)
    with pytest.raises(BundleError, match="neither a known label set nor a file of the bundle"):
        load_bundle(copy)


def test_a_card_that_names_a_file_in_no_encoding_can_be_read_again(copy: Path) -> None:
    """It was written, could not be read, and the bundle was lost."""
    card = load_bundle(copy).card
    calibration = card.calibration.model_copy(update={"source": "caf\udce9, été"})
    assert (
        rewrite_card(copy, card.model_copy(update={"calibration": calibration})).card.calibration.source == "caf?, été"
    )
    assert rewrite_card(copy, card).card == card


def test_a_link_to_a_device_or_a_pipe_is_no_file(copy: Path) -> None:
    for target in ("/dev/zero", None):
        (copy / "golden.npz").unlink()
        if target:
            (copy / "golden.npz").symlink_to(target)
        else:
            os.mkfifo(copy / "golden.npz")
        with pytest.raises(BundleError, match=r"golden\.npz is missing"):
            load_bundle(copy)


@pytest.mark.parametrize("kind", ["bomb", "lie", "text", "other keys", "other shapes", "pickle"])
def test_a_golden_frame_that_is_none_is_refused(copy: Path, kind: str) -> None:
    file = copy / "golden.npz"
    good = load_bundle(copy).golden()
    if kind == "bomb":
        np.savez_compressed(file, **good, more=np.zeros(200_000_000, np.uint8))
    elif kind == "lie":
        with zipfile.ZipFile(file, "w") as archive:
            head = b"{'descr': '|u1', 'fortran_order': False, 'shape': (9999999999, 9999999)}".ljust(117) + b"\n"
            for name in good:
                archive.writestr(f"{name}.npy", b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head)
    elif kind == "text":
        file.write_text("no zip")
    elif kind == "other keys":
        np.savez(file, image=good["image"])
    elif kind == "other shapes":
        np.savez(file, **good | {"labels": np.zeros(3, np.uint8)})
    else:
        np.savez(file, **good | {"labels": np.array([{}], object)})
    card = yaml.safe_load((copy / "model.yaml").read_text())
    edit(copy, files=card["files"] | {"golden.npz": sha256(file)})
    with pytest.raises(BundleError, match=r"golden\.npz"):
        load_bundle(copy).golden()


def test_a_yaml_bomb_is_refused(copy: Path) -> None:
    (copy / "model.yaml").write_text(
        "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
        + "b0: &b0 [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
        + "".join(f"b{i}: &b{i} [{','.join([f'*b{i - 1}'] * 10)}]\n" for i in range(1, 9))
    )
    with pytest.raises(BundleError, match="refused as a bomb"):
        load_bundle(copy)


NUMBERS = [".threshold", "objects.grow", "objects.seed", "objects.among", "objects.beside", "inlier_histogram.low"]
NUMBERS += [f"second_look.{name}" for name in ("zoom", "grow", "above", "below")]


@pytest.mark.parametrize("place", NUMBERS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 1e300])
def test_a_number_that_nothing_can_be_above_is_refused(copy: Path, place: str, value: float) -> None:
    # With a threshold of NaN a road full of obstacles is clear.
    card = yaml.safe_load((copy / "model.yaml").read_text())
    calibration = card["calibration"] | {"threshold": 3.0, "objects": None, "evidence": None, "second_look": None}
    calibration["inlier_histogram"] = {"low": -1.0, "high": 4.0, "counts": [3, 4]}
    part, _, name = place.partition(".")
    if part in ("objects", "second_look"):
        calibration["objects"] = {"grow": 1.0, "seed": 0.5, "among": 3.0, "beside": 4.0, "ground": [3]}
    if part == "second_look":
        calibration["second_look"] = {"version": 2, "zoom": 1.5, "grow": 1.0, "above": 2.0, "below": 3.0}
    edit(copy, calibration=calibration)
    load_bundle(copy)
    (calibration[part] if part else calibration)[name] = value
    edit(copy, calibration=calibration)
    with pytest.raises(BundleError, match=f"calibration.*{name}|`low` must be below"):
        load_bundle(copy)


@pytest.mark.parametrize(
    ("objects", "band", "small", "said"),
    [
        (False, (1.0, 2.0, 3.0), None, "it needs `objects`"),
        (True, (1.0, 3.0, 3.0), None, "less than"),
        (True, (2.5, 2.0, 3.0), None, "at most"),
        (True, (1.0, 2.0, 3.0), (2.0, 0.5), "at most `small.above`"),
        (True, (1.0, 2.0, 3.0), (1.5, 1.5), "`small.zoom` must be above"),
    ],
)
def test_a_second_look_that_means_nothing_is_refused(
    copy: Path, objects: bool, band: tuple[float, ...], small: tuple[float, float] | None, said: str
) -> None:
    card = yaml.safe_load((copy / "model.yaml").read_text())
    rule = {"grow": 1.0, "seed": 0.5, "among": 3.0, "beside": 4.0, "ground": [3]} if objects else None
    look = {"version": 2, "zoom": 1.5, **dict(zip(("grow", "above", "below"), band, strict=True))}
    look["small"] = None if small is None else {"height": 0.1, "zoom": small[0], "above": small[1]}
    edit(copy, calibration=card["calibration"] | {"threshold": 3.0, "objects": rule, "second_look": look})
    with pytest.raises(BundleError, match=f"second_look: .*{said}"):
        load_bundle(copy)


@pytest.mark.parametrize(
    ("strip", "resize", "said"),
    [
        ({"zoom": 1.0}, None, r"strip\.zoom"),
        ({"height": 1.0}, None, r"strip\.height"),
        ({"zoom": 3.0}, None, r"at most 1 / `zoom`²"),
        ({}, {"height": 64, "width": 64}, "a `strip` has no size"),
    ],
)
def test_a_strip_that_means_nothing_is_refused(copy: Path, strip: dict, resize: dict | None, said: str) -> None:
    card = yaml.safe_load((copy / "model.yaml").read_text())
    rule = {"grow": 1.0, "seed": 0.5, "among": 3.0, "beside": 4.0, "ground": [3]}
    look = {"version": 2, "zoom": 1.5, "grow": 1.0, "above": 2.0, "below": 3.0, "strip": {}}
    calibration = card["calibration"] | {"threshold": 3.0, "objects": rule, "second_look": look}
    edit(copy, calibration=calibration)
    assert load_bundle(copy).card.calibration.second_look.strip.model_dump() == {
        "zoom": 2.0,
        "height": 0.25,
    }
    look["strip"] = strip
    edit(copy, calibration=calibration, input=card["input"] | {"resize": resize})
    with pytest.raises(BundleError, match=said):
        load_bundle(copy)


def test_ground_classes_that_the_label_set_does_not_have_are_refused(copy: Path) -> None:
    card = yaml.safe_load((copy / "model.yaml").read_text())
    rule = {"grow": -100.0, "seed": 0.5, "beside": 100.0, "ground": [3, 200]}
    edit(copy, calibration=card["calibration"] | {"objects": rule})
    with pytest.raises(BundleError, match=r"ground names class 200, label set .* has 0 to"):
        load_bundle(copy)
