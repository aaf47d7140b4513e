"""Label sets: class names and colours, read from `config/labels/*.yaml` or from a file of your own.

A label file holds `name`, `classes` (a list of `{name, color: [r, g, b]}` in class-id order) and optionally `from`,
maps of other label sets' ids to this one's (`from: {cityscapes19: {0: 3, …}}`; ids that are not listed become 255),
and `ground`, the names of the classes that objects stand on, where they are not called road or sidewalk.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .bounded_yaml import load_yaml
from .errors import ConfigError, listed
from .frame import UNLABELED
from .paths import config_dir

GROUND = ("road", "sidewalk")
"""Classes that objects stand on, of a label set that does not name its own."""


@dataclass(frozen=True)
class LabelSet:
    """Class names and RGB colours in class-id order.

    Attributes:
        name: e.g. `cityscapes19`.
        names: class names; index = class id.
        colors: RGB triples, 0..255.
        mappings: label-set name → {its id: our id}.
        ground: names of the classes that objects stand on; empty = those of `GROUND` that it has.
    """

    name: str
    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    mappings: dict[str, dict[int, int]] = field(default_factory=dict)
    ground: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def ground_ids(self) -> list[int]:
        """Ids of the classes that objects stand on, ascending; none = nobody said which."""
        return [index for index, name in enumerate(self.names) if name in (self.ground or GROUND)]

    def palette(self) -> np.ndarray:
        """RGB uint8 `[256, 3]`; ids without a class are black."""
        table = np.zeros((256, 3), np.uint8)
        table[: len(self)] = self.colors
        return table

    def map_from(self, other: str | LabelSet) -> np.ndarray:
        """Look-up table uint8 `[256]` from the ids of label set `other` to ours; 255 = unlabeled.

        Args:
            other: a label set, or the name or the file of one. The same classes in the same order need no mapping.

        Raises:
            ConfigError: no mapping from `other` is known; it says what to write where.
        """
        table = np.full(256, UNLABELED, np.uint8)
        if isinstance(other, str) and other in self.mappings:
            name = other
        elif other == self.name:
            return self._same()
        else:
            theirs = other if isinstance(other, LabelSet) else _loaded(other)
            name = str(other) if theirs is None else theirs.name
            if theirs is not None and theirs.names == self.names:
                return self._same()
            if name == self.name:
                raise ConfigError(f"two label sets are called {name}, with different classes; give one another name")
        if name not in self.mappings:
            known = ", ".join(sorted(self.mappings)) or "none"
            raise ConfigError(
                f"label set {self.name} has no mapping from {name} (known: {known}); add it to the file of "
                f"{self.name}: `from: {{{name}: {{THEIR_ID: ITS_ID, ...}}}}`, or give both the same classes"
            )
        for source, target in self.mappings[name].items():
            table[source] = target
        return table

    def _same(self) -> np.ndarray:
        table = np.full(256, UNLABELED, np.uint8)
        table[: len(self)] = np.arange(len(self))
        return table


def _loaded(name_or_path: str) -> LabelSet | None:
    """The label set, or None where nothing has this name: some are known by their ids alone."""
    is_file = Path(name_or_path).suffix in (".yaml", ".yml")
    known = is_file or (config_dir() / "labels" / f"{name_or_path}.yaml").is_file()
    return load_labels(name_or_path) if known else None


def load_labels(name_or_path: str | Path) -> LabelSet:
    """Read a label set by name (a file of `config/labels/`) or by path.

    Raises:
        ConfigError: the file is missing or malformed; the text names the file and the key.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        folder = config_dir() / "labels"
        path = folder / f"{name_or_path}.yaml"
        if not path.is_file():
            known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
            raise ConfigError(f"no label set named {name_or_path!r}; known: {known}")
    return parse_labels(load_yaml(path, f"label file {path}"), str(path))


def parse_labels(data: object, where: str) -> LabelSet:
    """Turn the content of a label file into a `LabelSet`; `where` is named in errors.

    Raises:
        ConfigError: a key is missing or a value is out of range.
    """
    if not isinstance(data, dict) or not isinstance(data.get("classes"), list) or not isinstance(data.get("name"), str):
        raise ConfigError(f"{where}: a label file needs `name` and a list `classes`")
    names, colors = [], []
    for index, entry in enumerate(data["classes"]):
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise ConfigError(f"{where}: class {index} needs a name, e.g. {{name: road, color: [128, 64, 128]}}")
        color = entry.get("color")
        if not (
            isinstance(color, list) and len(color) == 3 and all(isinstance(c, int) and 0 <= c <= 255 for c in color)
        ):
            raise ConfigError(f"{where}: class {entry['name']} needs `color: [r, g, b]` with values 0..255")
        names.append(entry["name"])
        colors.append(tuple(color))
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise ConfigError(f"{where}: {', '.join(twice)} stands there twice; classes need different names")
    if not 2 <= len(names) <= 254:
        raise ConfigError(f"{where}: 2 to 254 classes are needed, got {len(names)}")
    mappings = data.get("from") or {}
    if not isinstance(mappings, dict) or not all(isinstance(table, dict) for table in mappings.values()):
        raise ConfigError(f"{where}: `from` maps label sets to maps of ids, e.g. {{cityscapes19: {{0: 3}}}}")
    for other, table in mappings.items():
        wrong = [
            (s, t) for s, t in table.items() if not (isinstance(s, int) and 0 <= s <= 255 and t in range(len(names)))
        ]
        if wrong:
            raise ConfigError(f"{where}: mapping from {other} has pairs outside the label set: {listed(wrong, 3)}")
    ground = data.get("ground") or []
    if not isinstance(ground, list) or not set(map(str, ground)) <= set(names):
        raise ConfigError(f"{where}: `ground` lists classes that objects stand on, of {', '.join(names)}; got {ground}")
    return LabelSet(data["name"], tuple(names), tuple(colors), mappings, tuple(ground))
