"""Score maps and labels of frames on disk, lossless, so that a threshold can be chosen after all frames were seen.

A frame takes about five bytes per pixel or less. Files get their final names when they are complete, so what a killed
run left behind is either whole or not there.
"""

from __future__ import annotations

import threading
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..object_rule import Objects
from ..paths import completed
from ..pipeline.obstacles.coherent import coherent_score

SUFFIX = ".frame.npz"
_ONE_AT_A_TIME = threading.Lock()
"""numpy parses the head of every array as Python; in CPython 3.11.7 two threads that parse at once can end in
`SystemError: AST constructor recursion depth mismatch`."""


class ScoreStore:
    """A folder of frames, each under a name that is a plain file name."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def put(self, name: str, score: np.ndarray, label: np.ndarray, **extra: np.ndarray) -> None:
        """Write one frame: score `[H, W]`, float32 to the bit; label uint8 `[H, W]`; more arrays by name."""
        score = np.ascontiguousarray(score, np.float32)
        # Sign, exponent and upper mantissa repeat between neighbours; the lower mantissa is noise.
        halves = score.view(np.uint16).reshape(-1, 2)
        upper = np.ascontiguousarray(halves[:, 1]).view(np.uint8).reshape(-1, 2).T
        with completed(self._path(name)) as part, part.open("wb") as stream:
            np.savez(
                stream,
                shape=np.asarray(score.shape),
                lower=halves[:, 0],
                upper=_pack(upper),
                label=_pack(np.asarray(label, np.uint8)),
                **{f"extra_{key}": value for key, value in extra.items()},
            )

    def get(self, name: str) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """Score float32 `[H, W]`, label uint8 `[H, W]`, and the extra arrays.

        Raises:
            KeyError: there is no such frame, or its file is damaged.
        """
        try:
            with _ONE_AT_A_TIME, np.load(self._path(name), allow_pickle=False) as file:
                data = dict(file)
            shape = tuple(map(int, data["shape"]))
            upper = np.frombuffer(zlib.decompress(data["upper"]), np.uint8).reshape(2, -1)
            halves = np.empty((upper.shape[1], 2), np.uint16)
            halves[:, 0] = data["lower"]
            halves[:, 1] = np.ascontiguousarray(upper.T).view(np.uint16)[:, 0]
            label = np.frombuffer(zlib.decompress(data["label"]), np.uint8).reshape(shape)
            extra = {key[6:]: value for key, value in data.items() if key.startswith("extra_")}
        except (OSError, ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            raise KeyError(f"frame {name!r} in {self.folder}: {error}") from error
        return halves.view(np.float32).reshape(shape), label, extra

    def __contains__(self, name: str) -> bool:
        return self._path(name).is_file()

    def __len__(self) -> int:
        return len(self.names())

    def names(self) -> list[str]:
        return sorted(path.name[: -len(SUFFIX)] for path in self.folder.glob(f"*{SUFFIX}") if path.name[0] != ".")

    def __iter__(self) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """(name, score, label) of all frames in the order of their names."""
        for name in self.names():
            score, label, _ = self.get(name)
            yield name, score, label

    def _path(self, name: str) -> Path:
        if not name or name[0] == "." or "/" in name:
            raise ValueError(f"{name!r} is no plain file name")
        return self.folder / f"{name}{SUFFIX}"


class CoherentStore(ScoreStore):
    """The frames of another store, with their scores as they are published: the greater of both looks, coherent.

    Args:
        store: with the network's own scores.
        objects, min_area: see `coherent_score`.
    """

    def __init__(self, store: ScoreStore, objects: Objects | None, min_area: int) -> None:
        super().__init__(store.folder)
        self._objects, self._min_area = objects, min_area

    def get(self, name: str) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        score, label, extra = super().get(name)
        score = extra.pop("greater", score)
        return coherent_score(score, self._objects, self._min_area), label, extra


def _pack(array: np.ndarray) -> np.ndarray:
    return np.frombuffer(zlib.compress(np.ascontiguousarray(array), 1), np.uint8)
