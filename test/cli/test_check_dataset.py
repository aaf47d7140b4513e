"""`oodseg check-dataset` as a user calls it."""

import json
import os
import subprocess
import sys

import cv2
import numpy as np


def call(*arguments: str) -> subprocess.CompletedProcess:
    code = "from oodseg_ros.cli.main import main; main()"
    environment = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-c", code, "check-dataset", *arguments], capture_output=True, text=True, env=environment
    )


def test_check_dataset_command(tmp_path):
    for folder, picture in (("images", np.zeros((4, 6, 3), np.uint8)), ("labels", np.eye(4, 6, dtype=np.uint8))):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "a.png"), picture)
    good = call("folder", "--root", str(tmp_path))
    assert good.returncode == 0, good.stderr
    assert "1 with ground truth" in good.stdout
    assert "all is as it should be" in good.stdout
    told = call("folder", "--root", str(tmp_path), "--json")
    assert json.loads(told.stdout)["values"] == {"0": 20, "1": 4}
    assert call("folder", "--root", str(tmp_path), "-q").stdout == ""

    cv2.imwrite(str(tmp_path / "labels" / "a.png"), np.full((4, 6), 9, np.uint8))
    bad = call("folder", "--root", str(tmp_path))
    assert bad.returncode == 1
    assert "a.png holds [9]" in bad.stdout
    quiet = call("folder", "--root", str(tmp_path), "-q")
    assert "a.png holds [9]" in quiet.stderr
    assert quiet.stdout == ""

    missing = call("camvid", "--root", str(tmp_path))
    assert missing.returncode == 2
    assert "Looked for" in missing.stderr
    assert "Traceback" not in missing.stderr


def test_no_frame_is_an_error(tmp_path):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for left, sentence in (("nothing", "no frames found under"), ("a picture", "no frames found under")):
        if left == "a picture":  # and no label at all
            cv2.imwrite(str(tmp_path / "images" / "a.png"), np.zeros((4, 6, 3), np.uint8))
        empty = call("folder", "--root", str(tmp_path), "--json")
        assert empty.returncode == 2
        assert sentence in empty.stderr
        assert empty.stdout == ""
    (tmp_path / "images" / "a.png").write_bytes(b"no picture")
    cv2.imwrite(str(tmp_path / "labels" / "a.png"), np.zeros((4, 6), np.uint8))
    unread = call("folder", "--root", str(tmp_path), "--json")
    assert unread.returncode == 1
    assert "cannot be decoded" in unread.stderr
