from __future__ import annotations

import contextlib
import tracemalloc
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from oodseg_ros.bounded_yaml import MAX_BYTES, load_yaml
from oodseg_ros.errors import ConfigError

LAUGHS = "a: &a [l,l,l,l,l,l,l,l,l]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_it_reads_what_yaml_reads(data: object) -> None:
    text = yaml.safe_dump(data, allow_unicode=False)
    assert load_yaml(text.encode(), "x") == yaml.safe_load(text)


def test_aliases_are_fine_where_they_stay_small() -> None:
    assert load_yaml(b"a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}", "x") == {
        "a": {"x": 1},
        "b": {"x": 1},
        "c": {"x": 1, "y": 2},
    }


@pytest.mark.parametrize(
    "content",
    [
        "text: |\n" + " " * 130 + "far to the right\n" + " " * 130 + "and on\n",
        f'text: "{"[" * 61}"',
        f"text: {'{' * 0}plain {'[' * 61}",
        f"# {'[' * 200}\na: 1",
        "a:\n" + " " * 150 + "b: 1",
        "a: 'it''s [[[[' # ]]",
    ],
)
def test_what_only_looks_deep_is_read(content: str) -> None:
    assert load_yaml(content.encode(), "x") == yaml.safe_load(content)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (LAUGHS.encode(), "refused as a bomb"),
        (b"a: &a [*a]", "contains itself"),
        (b"[" * 5000, "nested deeper"),
        (b"\n".join(b"  " * i + b"a:" for i in range(500)), "nested deeper"),
        (b"- " * 3000 + b"x", "nested deeper"),
        (b"? " * 3000 + b"x", "nested deeper"),
        (b"x: " + b"1" * 6000, "cannot be read: ValueError"),
        (b"x: 2024-13-45", "cannot be read: ValueError"),
        (b"{[1]: 2}", "cannot be read"),
        (b"x: !!python/object/apply:os.system [ls]", "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"x: [1", "cannot be read"),
        (b"a" * (MAX_BYTES + 1), "larger than 2 MB"),
        (b"--- 1\n--- 2\n", "cannot be read"),
    ],
)
def test_bombs_and_nonsense_are_refused_with_a_sentence(content: bytes, sentence: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ConfigError, match=sentence) as error:
            load_yaml(content, "the file")
        assert tracemalloc.get_traced_memory()[1] < 30e6
    finally:
        tracemalloc.stop()
    assert "the file" in str(error.value)


def test_a_file_is_named_and_only_read_up_to_the_bound(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    with pytest.raises(ConfigError, match=str(file)):
        load_yaml(file)
    with file.open("wb") as stream:
        stream.truncate(1 << 40)  # sparse
    with pytest.raises(ConfigError, match="larger than"):
        load_yaml(file)
    file.write_text("")
    assert load_yaml(file) is None


@given(st.binary(max_size=200))
def test_wild_bytes_give_data_or_a_sentence(content: bytes) -> None:
    with contextlib.suppress(ConfigError):
        load_yaml(content, "x")
