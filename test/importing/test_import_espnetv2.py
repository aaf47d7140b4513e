from __future__ import annotations

import cv2
import pytest
import torch

from oodseg_ros.errors import CheckpointError
from oodseg_ros.importing.kinds import import_bundle, read_imported
from oodseg_ros.inference.runner import Runner


@pytest.mark.data
def test_the_released_cityscapes_network_segments_real_frames(shared_data, tmp_path):
    file = shared_data / "weights" / "espnetv2_s_2.0_city_1024x512.pth"
    bundle, imported = import_bundle("espnetv2", [file], tmp_path / "espnetv2_city")
    assert imported.unknown == imported.ignored == ()
    assert bundle.card.network["score"] == "void"
    runner = Runner.load(bundle, engine="torch")
    folder = shared_data / "cityscapes"
    images = sorted((folder / "images").glob("*"))[:2]
    right = counted = 0
    for path in images:
        image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        frame = path.stem.split("_")[:3]
        (labels,) = (file for file in (folder / "labelTrainIds").iterdir() if file.stem.split("_")[:3] == frame)
        truth = cv2.imread(str(labels), cv2.IMREAD_GRAYSCALE)
        known = truth != 255
        right += (runner([image])[0].labels == truth)[known].sum()
        counted += known.sum()
    # These are training frames of this network; a wrong key, scale or normalisation falls far below.
    assert right / counted > 0.9


@pytest.mark.data
def test_a_network_without_void_gets_the_energy(shared_data):
    imported = read_imported("espnetv2", [shared_data / "weights" / "espnetv2_s_2.0_pascal_384x384.pth"])
    assert imported.network["score"] == "energy"
    assert imported.network["classifier"] == {"name": "none", "classes": 21}


def test_another_network_is_refused(tmp_path):
    torch.save({"encoder.weight": torch.zeros(2)}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="no ESPNetv2 for segmentation"):
        read_imported("espnetv2", [tmp_path / "x.pth"])
