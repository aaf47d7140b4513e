"""Samples: a pure function of seed and index, with every target meaning what it says.

The frame cache: bounded, least recently used goes first, nobody can change what others see.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from oodseg_ros.frame import KNOWN, OUTLIER
from oodseg_ros.labels import load_labels
from oodseg_ros.training.frames import load_frames
from oodseg_ros.training.recipe import DataSpec, OutlierSpec, load_recipe
from oodseg_ros.training.samples import FrameCache, Samples

LABELS = load_labels("driving11")


@pytest.fixture
def make(small_recipe: Path):
    recipe = load_recipe(small_recipe)
    frames = load_frames(recipe.data, LABELS)

    def samples(start: int = 0, stop: int = 12, **outliers: object) -> Samples:
        spec = OutlierSpec(**{**recipe.outliers.model_dump(), **outliers})
        return Samples(frames, spec, LABELS, recipe.crop, recipe.widths, seed=7, start=start, stop=stop)

    return samples


def test_workers_and_offsets_do_not_change_a_sample(make) -> None:
    alone = [make()[index] for index in range(12)]
    for workers, start in ((2, 0), (0, 5)):
        loader = DataLoader(make(start=start), 1, num_workers=workers)
        for (image, target), (expected_image, expected_target) in zip(loader, alone[start:], strict=True):
            assert torch.equal(image[0], expected_image)
            assert torch.equal(target[0], expected_target)


def test_unknowns_and_clean_images_come_in_the_asked_share(make) -> None:
    def share(**outliers: object) -> float:
        samples = make(stop=40, **outliers)
        return np.mean([bool((samples[index][1] == OUTLIER).any()) for index in range(40)])

    assert share(clean=1.0) == 0
    assert share(clean=0.0) > 0.8


def test_targets_are_classes_outliers_or_ignored(make) -> None:
    values = torch.cat([make()[index][1].unique() for index in range(12)]).unique().tolist()
    assert set(values) <= {0, 3, 8, OUTLIER, 255}
    assert OUTLIER in values


def test_frames_without_labels_are_known_but_of_no_class(road_folder: Path) -> None:
    spec = DataSpec(dataset="frames", root=str(road_folder / "images"))
    (frame, *_) = load_frames([spec], LABELS)
    assert set(np.unique(frame.read()[1])) == {KNOWN}


def test_frames_can_be_kept_out_by_name(road_folder: Path) -> None:
    spec = DataSpec(dataset="folder", root=str(road_folder), labels="driving11", match="[0-2]*")
    assert len(load_frames([spec], LABELS)) == 3


def test_procedural_scenes_bring_their_own_unknowns() -> None:
    frames = load_frames([DataSpec(dataset="scenes", count=3, seed=1)], LABELS)
    targets = [frame.read()[1] for frame in frames]
    assert any((target == OUTLIER).any() for target in targets)
    assert all((target == LABELS.names.index("road")).any() for target in targets)


def test_sources_of_objects_are_drawn_by_their_weight(tmp_path: Path) -> None:
    import cv2

    from oodseg_ros.training.data_recipe import CutoutSpec
    from oodseg_ros.training.pasting import build_pasting

    for name, count, color in (("red", 30, (0, 0, 255, 255)), ("blue", 10, (255, 0, 0, 255))):
        (tmp_path / name).mkdir()
        for index in range(count):
            cv2.imwrite(str(tmp_path / name / f"{index}.png"), np.full((20, 20, 4), color, np.uint8))

    def share_of_red(weight: float) -> float:
        cutouts = [CutoutSpec(root=str(tmp_path / "red"), weight=weight), CutoutSpec(root=str(tmp_path / "blue"))]
        spec = OutlierSpec(cutouts=cutouts, shapes=0)
        pasting = build_pasting(spec, LABELS, lambda index: None, 0, 0).on_crop
        rng = np.random.default_rng(0)
        return float(np.mean([pasting._photograph(rng)[0, 0, 0] == 255 for _ in range(2000)]))

    assert share_of_red(1.0) == pytest.approx(0.75, abs=0.04)
    assert share_of_red(0.1) == pytest.approx(3 / 13, abs=0.04)


class Reader:
    def __init__(self) -> None:
        self.reads: list[int] = []

    def __call__(self, key: int) -> tuple[np.ndarray, ...]:
        self.reads.append(key)
        return np.full(60, key, np.uint8), np.zeros(40, np.uint8)


def test_least_recently_used_frames_are_forgotten() -> None:
    reader, cache = Reader(), FrameCache(300)
    for key in (1, 2, 3, 1, 4, 1, 2):
        assert cache.get(key, lambda key=key: reader(key))[0][0] == key
    assert reader.reads == [1, 2, 3, 4, 2]
    cache.shrink(100)
    cache.get(2, lambda: reader(2))
    cache.get(1, lambda: reader(1))
    assert reader.reads == [1, 2, 3, 4, 2, 1]


def test_what_does_not_fit_is_read_each_time() -> None:
    reader, cache = Reader(), FrameCache(99)
    for _ in range(2):
        cache.get(1, lambda: reader(1))
    assert reader.reads == [1, 1]


def test_kept_frames_cannot_be_drawn_into() -> None:
    image, _ = FrameCache(1000).get(1, lambda: Reader()(1))
    with pytest.raises(ValueError, match="read-only"):
        image[0] = 9
