"""CG-Aug from a dataset to pairs on disk, with everything but the picture and the segmenter as in earnest."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from oodseg_ros.datasets.registry import open_dataset
from oodseg_ros.labels import load_labels
from oodseg_ros.outliers.coherent_generation.generate import generate
from oodseg_ros.outliers.coherent_generation.layout import Outline
from oodseg_ros.training.frames import load_frames
from oodseg_ros.training.recipe import DataSpec

ANIMAL = (255, 0, 122)


@pytest.fixture
def city(tmp_path: Path) -> Path:
    """Two Cityscapes frames in the official layout: building above, road below; the own vehicle in the label ids."""
    root = tmp_path / "city"
    for name in ("leftImg8bit", "gtFine"):
        (root / name / "train" / "aachen").mkdir(parents=True)
    train_ids = np.full((400, 600), 2, np.uint8)
    train_ids[150:] = 0
    train_ids[390:] = 255
    ids = np.where(train_ids == 2, 11, np.where(train_ids == 0, 7, 1)).astype(np.uint8)
    for number in (1, 2):
        stem = f"aachen_00000{number}_000019"
        image = np.full((400, 600, 3), 60 * number, np.uint8)
        cv2.imwrite(str(root / f"leftImg8bit/train/aachen/{stem}_leftImg8bit.png"), image)
        for kind, values in (("labelTrainIds", train_ids), ("labelIds", ids)):
            cv2.imwrite(str(root / f"gtFine/train/aachen/{stem}_gtFine_{kind}.png"), values)
    return root


class Squares:
    def draw(self, rng: np.random.Generator) -> Outline:
        return Outline(np.ones((50, 50), bool), "dark horse", "animal")


class Painter:
    """Returns the control picture itself at half size, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[np.ndarray, str, int]] = []

    def __call__(self, control: np.ndarray, text: str, negative: str, seed: int) -> np.ndarray:
        self.asked.append((control, text, seed))
        return cv2.resize(control, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_NEAREST)


def by_color(image: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    return np.abs(image.astype(int) - ANIMAL).max(axis=2) < 60


def test_pairs_are_written_found_again_and_read_for_training(city: Path, tmp_path: Path) -> None:
    dataset, out, painter = open_dataset("cityscapes", city, "train"), tmp_path / "out", Painter()
    outcomes = [generate(dataset, item, out, Squares(), painter, by_color, seed=3) for item in dataset.items]
    assert all(outcome.name and outcome.attempts == 1 and outcome.iou > 0.9 for outcome in outcomes)
    assert all(o.name.startswith("aachen/aachen_00000") and "_dark-horse_" in o.name for o in outcomes)
    control, text, _ = painter.asked[0]
    assert tuple(control[395, 5]) == (140, 140, 140)  # the own vehicle is painted as road
    assert "There is a dark horse accidentally" in text
    (first, _) = load_frames(
        [DataSpec(dataset="generated_pairs", root=str(out), originals=str(city), split="train")],
        load_labels("cityscapes19"),
    )
    image, target = first.read_counterpart()
    assert image.shape == (400, 600, 3)
    assert set(np.unique(target)) == {0, 2, 254, 255}
    assert (by_color(image, (0, 0, 0, 0)) == (target == 254)).all()
    told = json.loads(next((out / "gtFine").rglob("*.json")).read_text())
    assert told["object"] == "dark horse"


def test_a_second_run_makes_only_what_is_missing_and_the_same(city: Path, tmp_path: Path) -> None:
    dataset, painter = open_dataset("cityscapes", city, "train"), Painter()
    folders = tmp_path / "one", tmp_path / "two"
    for out, items in zip(folders, (dataset.items, dataset.items[::-1]), strict=True):
        for item in items:
            generate(dataset, item, out, Squares(), painter, by_color, seed=3)
    names = [sorted(file.relative_to(out).as_posix() for file in out.rglob("*.png")) for out in folders]
    assert names[0] == names[1]
    assert len(names[0]) == 4
    again = [generate(dataset, item, folders[0], Squares(), painter, by_color, seed=3) for item in dataset.items]
    assert len(painter.asked) == 4
    assert [outcome.attempts for outcome in again] == [0, 0]


def test_bad_pictures_are_drawn_again_and_given_up(city: Path, tmp_path: Path) -> None:
    dataset, painter = open_dataset("cityscapes", city, "train"), Painter()
    calls = []

    def second_time(image: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
        calls.append(box)
        return by_color(image, box) if len(calls) > 1 else np.zeros(image.shape[:2], bool)

    done = generate(dataset, dataset.items[0], tmp_path / "out", Squares(), painter, second_time)
    assert (done.attempts, bool(done.name)) == (2, True)
    assert len({seed for _, _, seed in painter.asked}) == 2
    never = generate(
        dataset, dataset.items[1], tmp_path / "out", Squares(), painter, by_color, attempts=3, accept=lambda *_: False
    )
    assert (never.attempts, never.name) == (3, None)
    assert len(list((tmp_path / "out").rglob("*.png"))) == 2
