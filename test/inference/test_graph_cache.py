from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from oodseg_ros.inference.graph_cache import cached, code_digest, graph_file
from oodseg_ros.paths import cache_dir


def bundle(weights: str = "a", **network):
    dump = SimpleNamespace(model_dump=lambda mode: {"pixels": 4})
    card = SimpleNamespace(name="tiny", network=network or {"head": "x"}, input=dump)
    return SimpleNamespace(card=card, weights_hash=weights, labels=("road", "sky"))


class Store:
    """Graphs are texts; counts how often one is made."""

    def __init__(self) -> None:
        self.made = 0

    def make(self) -> str:
        self.made += 1
        return f"graph {self.made}"

    @staticmethod
    def read(file: Path) -> str:
        text = file.read_text()
        if not text.startswith("graph") or not file.with_suffix(".bin").is_file():
            raise RuntimeError("damaged")
        return text

    @staticmethod
    def write(graph: str, file: Path) -> None:
        file.with_suffix(".bin").write_bytes(b"weights")
        file.write_text(graph)

    def get(self, file: Path) -> str:
        return cached(file, self.read, self.make, self.write)


def test_made_once(tmp_path):
    store, file = Store(), tmp_path / "graphs" / "g.xml"
    assert [store.get(file), store.get(file)] == ["graph 1", "graph 1"]
    assert sorted(path.name for path in file.parent.iterdir()) == ["g.bin", "g.sha256", "g.xml"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda f: f.write_text("junk"),
        lambda f: f.write_text("graph of something else"),
        lambda f: f.with_suffix(".bin").unlink(),
        lambda f: f.with_suffix(".bin").write_bytes(b"w3ights"),
        lambda f: f.with_suffix(".sha256").unlink(),
        lambda f: f.with_suffix(".sha256").write_bytes(b"\xff" * 64),
    ],
)
def test_damaged_files_are_replaced(tmp_path, damage):
    store, file = Store(), tmp_path / "g.xml"
    store.get(file)
    damage(file)
    assert store.get(file) == "graph 2"
    assert store.get(file) == "graph 2"


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path):
    (tmp_path / "file").write_text("")
    store, file = Store(), tmp_path / "file" / "g.xml"
    assert [store.get(file), store.get(file)] == ["graph 1", "graph 2"]


def test_the_name_holds_all_that_matters(monkeypatch, tmp_path):
    monkeypatch.setenv("OODSEG_CACHE", str(tmp_path))
    names = {
        graph_file(bundle(), "openvino-1", (1, 2, 3)),
        graph_file(bundle("b"), "openvino-1", (1, 2, 3)),
        graph_file(bundle(head="y"), "openvino-1", (1, 2, 3)),
        graph_file(bundle(), "openvino-2", (1, 2, 3)),
        graph_file(bundle(), "openvino-1", (2, 2, 3)),
    }
    assert len(names) == 5
    assert {file.parent for file in names} == {tmp_path / "graphs"}
    assert graph_file(bundle(), "openvino-1", (1, 2, 3)) in names
    assert len(code_digest()) == 64


@pytest.mark.parametrize("given", ["", "here", "./cache"])
def test_an_empty_or_relative_cache_home_counts_as_unset(monkeypatch, given):
    """As the XDG specification says; taken at its word, it would fill whatever folder one happens to stand in."""
    monkeypatch.delenv("OODSEG_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", given)
    assert cache_dir() == Path.home() / ".cache" / "oodseg_ros"
