from __future__ import annotations

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from oodseg_ros.inference import graph_cache
from oodseg_ros.inference.engine import ENGINES
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


def digests(package: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr(graph_cache, "PACKAGE", package)
    code_digest.cache_clear()
    return {name: code_digest(name or None) for name in ("", *ENGINES)}


@pytest.fixture
def package(tmp_path):
    """A copy of the package's sources, to be changed."""
    yield shutil.copytree(graph_cache.PACKAGE, tmp_path / "package", ignore=shutil.ignore_patterns("__pycache__"))
    code_digest.cache_clear()


@pytest.mark.parametrize(
    ("file", "stale"),
    [
        ("building/openvino_convolutions.py", {"openvino"}),
        ("building/onnx_precision.py", {"tensorrt", "tensorrt_rtx"}),
        ("building/torch.py", {"torch"}),
        ("networks/segmentor.py", {"", *ENGINES}),
        ("building/acceptance.py", set()),  # judges engines, makes none
        ("building/view.py", set()),
        ("inference/second_look.py", set()),
        ("inference/strip.py", set()),
    ],
)
def test_a_fault_that_is_mended_makes_stale_what_was_built_with_it(package, monkeypatch, file, stale):
    """What was built ahead; the graph that OpenVINO caches at a start ("") has no builder."""
    before = digests(package, monkeypatch)
    with (package / file).open("a") as stream:
        stream.write("# mended\n")
    after = digests(package, monkeypatch)
    assert {name for name in before if before[name] != after[name]} == stale


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_all_that_builds_an_engine_counts(engine):
    """Whatever a builder imports of its room, except what only judges engines or says what is ordered.

    `view` and `gate_data` cut the frames that calibrate an engine, too: the side-car has the digest of what they cut.
    """
    room, builds = graph_cache.PACKAGE / "building", ENGINES[engine].builds
    found, waiting = set(), [builds[0]]
    while waiting:
        found.add(name := waiting.pop())
        imported = set(re.findall(r"^ *from \.(\w+) import", (room / f"{name}.py").read_text(), re.MULTILINE))
        waiting += imported - found - {"acceptance", "gate_data", "order", "view"}
    assert found == set(builds)
