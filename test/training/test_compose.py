"""Every outlier method as samples: shapes, labels, what pairs promise, and that a seed says all."""

from __future__ import annotations

from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from oodseg_ros.errors import ConfigError
from oodseg_ros.frame import KNOWN, OUTLIER
from oodseg_ros.labels import LabelSet, load_labels
from oodseg_ros.training.frames import load_frames
from oodseg_ros.training.pasting import build_pasting, ground_ids
from oodseg_ros.training.recipe import AugmentSpec, DataSpec, OutlierSpec
from oodseg_ros.training.samples import Samples

LABELS = load_labels("driving11")


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cut-outs of 20x30 pixels, plain white and plain black."""
    root = tmp_path_factory.mktemp("objects")
    for name, value in (("white", 255), ("black", 0)):
        rgba = np.full((20, 30, 4), value, np.uint8)
        rgba[..., 3] = 255
        cv2.imwrite(str(root / f"{name}.png"), rgba)
    return root


@pytest.fixture(scope="module")
def pairs(road_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> DataSpec:
    """Generated counterparts of frames 0 to 3: all gray, with an unknown; frame 1 has two."""
    root = tmp_path_factory.mktemp("generated")
    for folder in ("leftImg8bit/train", "gtFine/train"):
        (root / folder).mkdir(parents=True)
    label = np.full((96, 160), 3, np.uint8)
    label[60:80, 60:100] = OUTLIER
    for name, gray in (("0_cat_0.81", 10), ("1_dog_0.75", 20), ("1_fog_cow_0.90", 30), ("2_cat_0.71", 40), ("3_x", 50)):
        image = np.full((96, 160, 3), gray, np.uint8)
        cv2.imwrite(str(root / "leftImg8bit/train" / f"{name}_leftImg8bit.png"), image)
        cv2.imwrite(str(root / "gtFine/train" / f"{name}_gtFine_labelTrainIds.png"), label)
    kind = {"originals": str(road_folder), "originals_dataset": "folder", "labels": "driving11"}
    return DataSpec(dataset="generated_pairs", root=str(root), **kind)


METHODS = {
    "none": ({"method": "none"}, {}),
    "road_paste": ({"method": "road_paste", "style": "adain", "clean": 0.0}, {}),
    "uem": ({"method": "anomaly_mix"}, {"scale": (0.5, 2.0), "pad": (70, 106), "color": "jitter"}),
    "rpl": ({"method": "anomaly_mix", "variant": "rpl", "context": True}, {"mirror": 0.8, "color": "none"}),
    "mss": ({"method": "anomaly_mix", "variant": "mss", "style": "reinhard"}, {"scale": (1.0, 1.0), "color": "shift"}),
    "patches": ({"method": "patch_paste", "patches": 2, "patch_sides": (8, 24)}, {}),
    "crops": ({"method": "patch_paste", "patches": 2, "overlap": True, "patch_sides": (8, 24)}, {"scale": (0.5, 2.0)}),
}


@pytest.fixture(scope="module")
def make(road_folder: Path, objects: Path):
    frames = load_frames([DataSpec(dataset="folder", root=str(road_folder), labels="driving11")], LABELS)

    def samples(method: str, start: int = 0, stop: int = 12, **changes: object) -> Samples:
        outliers, augment = METHODS[method]
        spec = OutlierSpec(**{"cutouts": [{"root": str(objects)}], **outliers, **changes})
        return Samples(frames, spec, LABELS, (64, 96), (96, 200), 7, start, stop, AugmentSpec(**augment))

    return samples


@pytest.mark.parametrize("method", METHODS)
def test_shapes_types_and_values(make, method: str) -> None:
    height, width = (70, 106) if method == "uem" else (64, 96)
    first = (2,) if method in ("rpl", "crops") else ()
    seen: set[int] = set()
    for sample in map(make(method).__getitem__, range(12)):
        image, target = sample[:2]
        assert image.shape == (*first, 3, height, width)
        assert target.shape == (*first, height, width)
        assert image.dtype == target.dtype == torch.uint8
        seen |= set(target.unique().tolist())
    assert seen <= {0, 3, 8, KNOWN, OUTLIER, 255}
    assert (OUTLIER in seen) == (method != "none")


@pytest.mark.parametrize("method", METHODS)
def test_workers_and_resume_do_not_change_a_sample(make, method: str) -> None:
    alone = [make(method)[index] for index in range(8)]
    for workers, start in ((2, 0), (0, 3)):
        loader = DataLoader(make(method, start=start, stop=8), 1, num_workers=workers)
        for sample, expected in zip(loader, alone[start:], strict=True):
            assert all(torch.equal(one[0], two) for one, two in zip(sample, expected, strict=True))


@pytest.mark.parametrize("method", METHODS)
def test_loader_processes_that_start_afresh_can_be_handed_the_samples(make, method: str) -> None:
    """Where processes are not forked, everything travels to them."""
    samples = make(method)
    copy = ForkingPickler.loads(ForkingPickler.dumps(samples))
    assert all(torch.equal(one, two) for one, two in zip(samples[3], copy[3], strict=True))


@pytest.mark.parametrize(("method", "low", "high"), [("uem", 0.1, 0.3), ("rpl", 1, 1), ("mss", 1, 1)])
def test_share_of_images_with_an_unknown(make, method: str, low: float, high: float) -> None:
    """A 20x30 object never misses the crop; UEM's may be cropped away, so its scale is native here."""
    METHODS["native"] = ({"method": "anomaly_mix"}, {"scale": (1.0, 1.0)})
    scales = {} if method == "uem" else {"scales": [0.5]}
    samples = make("native" if method == "uem" else method, stop=100, **scales)
    has = [bool((samples[i][1] == OUTLIER).any()) for i in range(100)]
    del METHODS["native"]
    assert low <= np.mean(has) <= high


def test_what_is_pasted_last_is_the_object_as_it_is(make) -> None:
    samples = make("rpl", scales=[1.0])
    for index in range(6):
        image, target = samples[index]
        pasted = image[0][:, target[0] == OUTLIER]
        assert pasted.unique().numel() == 1
        assert pasted.shape[1] == 20 * 30
        # The second picture is the object's own, in the middle, and its rest is known or not counted.
        assert (target[1, 22:42, 33:63] == OUTLIER).all()
        assert (target[1] == 255).sum() == 64 * 96 - 20 * 30
        assert image[1][:, 30, 40].tolist() == pasted[:, 0].tolist()


def test_overlapping_crops_agree(make) -> None:
    samples = make("crops")
    for index in range(8):
        _, target, overlap = samples[index]
        assert overlap.dtype == torch.int64
        views = []
        for view in range(2):
            top, left, bottom, right, mirrored, unused = overlap[view].tolist()
            part = target[view, top:bottom, left:right]
            views.append(part.flip(1) if mirrored else part)
            assert unused == 0
        assert torch.equal(*views)
        assert (views[0] == OUTLIER).any()


def test_generated_pairs(pairs: DataSpec, objects: Path, caplog: pytest.LogCaptureFixture) -> None:
    frames = load_frames([pairs], LABELS, seed=1)
    assert [frame.id for frame in frames] == ["0", "1", "2", "3"]
    assert "2 of 6 originals have no generated picture" in caplog.text
    chosen = {load_frames([pairs], LABELS, seed=seed)[1].read_counterpart()[0][0, 0, 0] for seed in range(12)}
    assert chosen == {20, 30}
    spec = OutlierSpec(method="anomaly_mix", variant="mss", cutouts=[{"root": str(objects)}], scales=[1.0])
    augment = AugmentSpec(scale=(1.0, 1.0), color="none")
    samples = Samples(frames, spec, LABELS, (96, 160), (0, 0), 7, 0, 40, augment)
    shares = []
    for index in range(40):
        image, target = samples[index]
        assert image.shape == (2, 3, 96, 160)
        flat = image[1].float()
        # Only the original gets a foreign object; the generated picture keeps its own labels.
        assert (target[0] == OUTLIER).sum() == 20 * 30
        assert (target[1] == OUTLIER).sum() == 20 * 40
        clean = target[0] != OUTLIER
        gray = (flat - 10 * np.round(flat.min().item() / 10)).mean()
        shares.append(float(gray / image[0][:, clean].float().mean()))
    assert 0.15 < np.median(shares) < 0.35  # 0.3 in seven of ten cases, less a gray of the picture itself


def test_pairs_and_single_frames_do_not_mix(pairs: DataSpec, road_folder: Path) -> None:
    single = DataSpec(dataset="folder", root=str(road_folder), labels="driving11")
    frames = load_frames([pairs, single], LABELS)
    with pytest.raises(ConfigError, match="cannot be mixed"):
        Samples(frames, OutlierSpec(method="none"), LABELS, (64, 96), (96, 200), 7, 0, 1)


def test_what_objects_stand_on_is_told_by_the_recipe_else_by_the_label_set() -> None:
    assert ground_ids(LABELS, []) == [LABELS.names.index("road"), LABELS.names.index("sidewalk")]
    assert ground_ids(LABELS, ["vegetation"]) == [LABELS.names.index("vegetation")]
    own = LabelSet("own", ("tarmac", "grass", "car"), ((0, 0, 0),) * 3, ground=("tarmac", "grass"))
    assert ground_ids(own, []) == [0, 1]
    pasting = build_pasting(OutlierSpec(shapes=1.0), own, lambda index: None, 0, 0).on_crop
    assert np.flatnonzero(pasting.ground).tolist() == [0, 1]
    patches = build_pasting(OutlierSpec(method="patch_paste"), own, lambda index: None, 0, 0).patches
    assert patches.road == 0
    silent = LabelSet("silent", ("tarmac", "car"), ((0, 0, 0),) * 2)
    with pytest.raises(ConfigError, match=r"silent does not say which .*`ground: \[...\]`.*tarmac, car"):
        build_pasting(OutlierSpec(shapes=1.0), silent, lambda index: None, 0, 0)


def test_classes_that_are_not_there_are_named(make) -> None:
    with pytest.raises(ConfigError, match="no class lawn"):
        make("road_paste", ground_classes=["lawn"])
