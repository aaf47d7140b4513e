import cv2
import numpy as np
import pytest

from oodseg_ros.errors import DatasetError, ImageError
from oodseg_ros.frame import Frame
from oodseg_ros.sources.image_files import open_files, open_folder, open_image, read_image, write_image
from oodseg_ros.sources.open_source import open_source
from oodseg_ros.sources.source import Unreadable

PICTURE = np.dstack([np.full((20, 30), value, np.uint8) for value in (200, 100, 30)])


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tiff"])
def test_written_images_come_back_in_rgb(tmp_path, suffix):
    write_image(tmp_path / f"a{suffix}", PICTURE)
    assert np.abs(read_image(tmp_path / f"a{suffix}").astype(int) - PICTURE).max() <= 12


def test_gray_images_become_rgb(tmp_path):
    write_image(tmp_path / "a.png", PICTURE[..., 0])
    assert (read_image(tmp_path / "a.png") == 200).all()


def test_folder_is_in_natural_order_and_stamped(tmp_path):
    for number in (10, 2, 1):
        write_image(tmp_path / f"frame_{number}.png", np.full((4, 4, 3), number, np.uint8))
    (tmp_path / "notes.txt").write_text("x")
    source = open_folder(tmp_path)
    frames = list(source)
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [1, 2, 10]
    assert [frame.stamp_ns for frame in frames] == [0, 10**8, 2 * 10**8]
    assert {frame.camera for frame in frames} == {tmp_path.name} == set(source.cameras)
    assert (source.kind, source.count, source.sequential) == ("folder", 3, False)


def test_pictures_of_phones_that_are_not_read_are_told_and_what_a_mac_leaves_is_not(tmp_path):
    for name in ("IMG_1.HEIC", "IMG_2.dng", "._IMG_3.JPG", ".DS_Store"):
        (tmp_path / name).write_bytes(b"x" * 100)
    with pytest.raises(DatasetError, match=r"only pictures of kinds that are not read \(\.dng, \.heic\); convert them"):
        open_folder(tmp_path)
    write_image(tmp_path / "IMG_3.JPG", PICTURE)
    write_image(tmp_path / "IMG_4.JPEG", PICTURE)
    (tmp_path / "IMG_4.JPEG").rename(tmp_path / "IMG_4.jfif")
    source = open_folder(tmp_path)
    assert len(list(source)) == 2
    assert source.skipped == {
        ".HEIC files are not read; convert them to JPEG or PNG": 1,
        ".dng files are not read; convert them to JPEG or PNG": 1,
    }
    assert source.count == 4
    kinds = [(type(item), item.file) for item in source.everything()]
    assert [file for _, file in kinds] == ["IMG_1.HEIC", "IMG_2.dng", "IMG_3.JPG", "IMG_4.jfif"]
    assert [kind for kind, _ in kinds] == [Unreadable, Unreadable, Frame, Frame]


def test_a_raw_file_beside_its_jpeg_is_no_frame_of_its_own(tmp_path):
    write_image(tmp_path / "IMG_1.JPG", PICTURE)
    for name in ("IMG_1.dng", "IMG_2.dng"):
        (tmp_path / name).write_bytes(b"raw")
    for source in (open_folder(tmp_path), open_files("some", sorted(tmp_path.iterdir()))):
        assert [item.file for item in source.everything()] == ["IMG_1.JPG", "IMG_2.dng"] == list(source.files)
        assert source.count == 2


@pytest.mark.parametrize(("brand", "kind"), [(b"heic", "HEIC"), (b"mif1", "HEIC"), (b"avif", "AVIF")])
def test_a_picture_of_a_phone_says_what_it_is_whatever_its_name(tmp_path, brand, kind):
    (tmp_path / "IMG_1.jpg").write_bytes(b"\0\0\0\x1cftyp" + brand + bytes(range(200)))
    with pytest.raises(ImageError, match=rf"IMG_1\.jpg cannot be decoded: it is a {kind} picture.*convert it to JPEG"):
        read_image(tmp_path / "IMG_1.jpg")
    (tmp_path / "IMG_1.jpg").rename(tmp_path / "IMG_1.HEIC")
    with pytest.raises(DatasetError, match=r"IMG_1\.HEIC: \.heic files are not read; convert them to JPEG"):
        open_source(tmp_path / "IMG_1.HEIC")


def test_a_damaged_image_is_passed_over_and_counted(tmp_path):
    for number in range(3):
        write_image(tmp_path / f"{number}.png", PICTURE)
    data = (tmp_path / "1.png").read_bytes()
    (tmp_path / "1.png").write_bytes(data[: len(data) // 2])
    source = open_folder(tmp_path)
    assert [frame.stamp_ns for frame in source] == [0, 2 * 10**8]
    ((reason, count),) = source.skipped.items()
    assert count == 1
    assert "1.png" in reason
    lost = list(source.everything())[1]
    assert (lost.file, lost.stamp_ns, lost.camera) == ("1.png", 10**8, tmp_path.name)
    assert isinstance(lost, Unreadable)
    assert reason == str(lost.error)


def test_empty_folder_names_its_folders(tmp_path):
    (tmp_path / "images").mkdir()
    with pytest.raises(DatasetError, match="images"):
        open_folder(tmp_path)


def test_single_image(tmp_path):
    write_image(tmp_path / "a.png", PICTURE)
    source = open_image(tmp_path / "a.png")
    (frame,) = source
    np.testing.assert_array_equal(frame.image, PICTURE)
    assert (frame.camera, source.kind, source.count) == ("a", "image", 1)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\nxxxx", b"\xff\xd8\xff\xe0"])
def test_no_image_is_an_image_error(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ImageError, match=r"a\.png"):
        list(open_image(tmp_path / "a.png"))
    everything = open_image(tmp_path / "a.png").everything()
    assert next(everything).file == "a.png", "whoever judges has a frame to say UNKNOWN of"
    with pytest.raises(ImageError, match=r"a\.png"):
        next(everything)


def test_an_image_that_claims_gigapixels_is_refused(tmp_path):
    data = bytearray(cv2.imencode(".png", PICTURE)[1].tobytes())
    data[16:24] = (60000).to_bytes(4, "big") * 2
    (tmp_path / "bomb.png").write_bytes(data)
    with pytest.raises(ImageError, match="60000"):
        read_image(tmp_path / "bomb.png")


def test_missing_and_unwritable(tmp_path):
    with pytest.raises(ImageError, match="No such file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(ImageError, match="cannot be written"):
        write_image(tmp_path / "none" / "a.png", PICTURE)
