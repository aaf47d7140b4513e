"""Label sets: shipped files are whole, wrong ones are refused with the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from oodseg_ros.errors import ConfigError
from oodseg_ros.labels import load_labels, parse_labels


def test_shipped_sets_and_their_mapping() -> None:
    driving, cityscapes = load_labels("driving11"), load_labels("cityscapes19")
    assert (len(driving), len(cityscapes)) == (11, 19)
    table = driving.map_from("cityscapes19")
    assert driving.names[table[cityscapes.names.index("truck")]] == "vehicle"
    assert table[200] == 255
    assert tuple(driving.palette()[3]) == driving.colors[3]


def test_cityscapes_ids_follow_the_official_table() -> None:
    table = load_labels("cityscapes19").map_from("cityscapes_label_ids")
    assert [int(table[i]) for i in (7, 11, 17, 26, 33, 0, 29)] == [0, 2, 5, 13, 18, 255, 255]


def test_an_unknown_mapping_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"no mapping from moon .known: camvid11, cityscapes19"):
        load_labels("driving11").map_from("moon")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (None, "needs `name`"),
        ({"name": "x", "classes": [{"name": "a", "color": [0, 0, 0]}]}, "2 to 254 classes"),
        ({"name": "x", "classes": [{"name": "a", "color": [0, 0, 300]}]}, "values 0..255"),
        ({"name": "x", "classes": ["a"]}, "class 0 needs a name"),
    ],
)
def test_wrong_label_files(data: object, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        parse_labels(data, "file.yaml")


def test_a_path_may_be_given(tmp_path: Path) -> None:
    file = tmp_path / "two.yaml"
    file.write_text("name: two\nclasses: [{name: a, color: [1, 2, 3]}, {name: b, color: [4, 5, 6]}]\n")
    assert load_labels(file).names == ("a", "b")


@pytest.mark.parametrize("mappings", ["text", 3.5, ["a"], {"other": 3}, {"other": ["a"]}])
def test_a_mapping_that_is_none_is_refused(mappings: object) -> None:
    classes = [{"name": name, "color": [0, 0, 0]} for name in ("a", "b")]
    with pytest.raises(ConfigError, match="`from` maps label sets"):
        parse_labels({"name": "x", "classes": classes, "from": mappings}, "a file")


def _file(folder: Path, name: str, *classes: str) -> str:
    file = folder / f"{name}.yaml"
    entries = ", ".join(f"{{name: {entry}, color: [1, 2, 3]}}" for entry in classes)
    file.write_text(f"name: {name}\nclasses: [{entries}]\n")
    return str(file)


def test_the_same_classes_need_no_mapping_however_they_are_named(tmp_path: Path) -> None:
    own = load_labels(_file(tmp_path, "own", "road", "cow"))
    for other in (own, "own", _file(tmp_path, "own", "road", "cow"), _file(tmp_path, "copy", "road", "cow")):
        assert own.map_from(other)[:3].tolist() == [0, 1, 255]
    with pytest.raises(ConfigError, match=r"no mapping from theirs .*`from: \{theirs: .*same classes"):
        own.map_from(_file(tmp_path, "theirs", "cow", "road"))
    with pytest.raises(ConfigError, match="two label sets are called own"):
        load_labels(_file(tmp_path, "own", "a", "b")).map_from(own)


def test_a_file_is_mapped_by_the_name_in_it(tmp_path: Path) -> None:
    other = _file(tmp_path, "theirs", "cow", "road")
    file = tmp_path / "mine.yaml"
    file.write_text(
        "name: mine\nclasses: [{name: road, color: [1, 2, 3]}, {name: cow, color: [1, 2, 3]}]\n"
        "from: {theirs: {0: 1, 1: 0}}\n"
    )
    assert load_labels(file).map_from(other)[:3].tolist() == [1, 0, 255]


@pytest.mark.parametrize(
    ("name", "ground"), [("idd7", [0, 1]), ("camvid11", [3, 4]), ("driving11", [3, 4]), ("cityscapes19", [0, 1])]
)
def test_shipped_sets_know_their_ground(name: str, ground: list[int]) -> None:
    assert load_labels(name).ground_ids() == ground


def test_the_ground_is_what_the_label_set_says_else_road_and_sidewalk() -> None:
    classes = [{"name": name, "color": [1, 2, 3]} for name in ("sky", "drivable", "road")]
    assert parse_labels({"name": "a", "classes": classes}, "a").ground_ids() == [2]
    assert parse_labels({"name": "a", "classes": classes[:2]}, "a").ground_ids() == []
    assert parse_labels({"name": "a", "classes": classes, "ground": ["drivable"]}, "a").ground_ids() == [1]
    for wrong in ("drivable", ["lane"], [3]):
        with pytest.raises(ConfigError, match="`ground` lists classes"):
            parse_labels({"name": "a", "classes": classes, "ground": wrong}, "a")


def test_idds_super_classes_hold_whole_classes_of_the_others():
    """Both ways from train ids to super-classes agree, but for what driving11 has joined: walls, terrain, riders."""
    idd, driving = load_labels("idd7"), load_labels("driving11")
    direct, through = idd.map_from("cityscapes19"), idd.map_from("driving11")[driving.map_from("cityscapes19")[:19]]
    assert [index for index in range(19) if direct[index] != through[index]] == [3, 9, 12]
