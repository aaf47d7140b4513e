"""Cut-outs from folders and from labelled frames."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from oodseg_ros.errors import DatasetError
from oodseg_ros.outliers.objects import cut_components, load_cutouts


def write(folder: Path, name: str, alpha: int = 255) -> None:
    rgba = np.zeros((40, 30, 4), np.uint8)
    rgba[5:35, 5:25] = (10, 20, 200, alpha)
    cv2.imwrite(str(folder / name), rgba)


def test_cutouts_are_read_as_rgba_and_cropped(tmp_path: Path) -> None:
    write(tmp_path, "a.png")
    (rgba,) = load_cutouts(tmp_path)
    assert rgba.shape == (30, 20, 4)
    assert tuple(rgba[0, 0]) == (200, 20, 10, 255)


def test_classes_and_kinds_can_be_left_out(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        write(tmp_path, name)
    entries = [("a.png", "dog", "animal"), ("b.png", "chair", "furniture"), ("c.png", "cat", "animal")]
    (tmp_path / "cutouts.json").write_text(json.dumps([{"file": f, "cls": c, "kind": k} for f, c, k in entries]))
    assert len(load_cutouts(tmp_path)) == 3
    assert len(load_cutouts(tmp_path, exclude=["animal"])) == 1
    assert len(load_cutouts(tmp_path, exclude=["dog"])) == 2


def test_a_folder_without_objects_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "empty.png", alpha=0)
    with pytest.raises(DatasetError, match="no RGBA cut-out"):
        load_cutouts(tmp_path)


@pytest.mark.parametrize("name", ["nothere", "file.png"])
def test_what_is_no_folder_is_called_so(tmp_path: Path, name: str) -> None:
    write(tmp_path, "file.png")
    with pytest.raises(DatasetError, match=f"cut-outs .*{name}: there is no such folder"):
        load_cutouts(tmp_path / name)


def test_components_of_known_classes_keep_their_class() -> None:
    image = np.full((100, 100, 3), 50, np.uint8)
    label = np.zeros((100, 100), np.uint8)
    label[20:50, 20:50] = 8
    label[60:100, 60:90] = 8  # touches the border: not whole, so not taken
    image[label == 8] = 200
    ((rgba, class_id),) = cut_components(image, label, [8])
    assert class_id == 8
    assert rgba.shape == (30, 30, 4)
    assert (rgba[..., :3] == 200).all()


def test_a_class_filter_that_matches_nothing_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a.png")
    with pytest.raises(DatasetError, match=r"no class or kind dog; its index names none \(cutouts.json is missing\)"):
        load_cutouts(tmp_path, exclude=["dog"])
    (tmp_path / "cutouts.json").write_text(json.dumps([{"file": "a.png", "cls": "cat", "kind": "animal"}]))
    with pytest.raises(DatasetError, match="its index names animal, cat"):
        load_cutouts(tmp_path, exclude=["dog"])
    (tmp_path / "cutouts.json").write_text("{")
    with pytest.raises(DatasetError, match="is no list"):
        load_cutouts(tmp_path)


def test_webp_cutouts_and_folders_below_are_read(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    write(tmp_path, "a.png")
    write(tmp_path / "below", "b.webp")
    (tmp_path / "below" / "notes.txt").write_text("no picture")
    assert [rgba.shape for rgba in load_cutouts(tmp_path)] == [(30, 20, 4)] * 2
