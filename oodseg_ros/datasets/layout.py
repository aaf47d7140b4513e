"""Describing how a dataset may lie on disk, and finding image and label files that belong together."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import DatasetError
from ..sources.image_files import IMAGE_SUFFIXES
from ..sources.source import natural_key
from .dataset import Item
from .encoding import ANOMALY, Encoding

_PART = re.compile(r"(.+?)(/…|/\{(?!split)\w+\})?/\{\w+\}(\w*)\.\w+")
"""Folder, whether one more lies in it, and what follows the key in a file's name."""
NO_SPLITS = "(no splits)"
"""In a layout's pattern: one folder for any choice of frames; the split is ignored, their number tells nothing."""


@dataclass(frozen=True)
class Layout:
    """One way in which a dataset is published or repacked.

    Attributes:
        pattern: for people, e.g. `images/{id}.jpg + labels/{id}.png`.
        find: (folder, split) → its frames; empty if the folder is laid out otherwise.
        encoding: if its label files differ from the format's.
    """

    pattern: str
    find: Callable[[Path, str], list[Item]]
    encoding: Encoding | None = None


@dataclass(frozen=True)
class Format:
    """A dataset that can be opened by name.

    Attributes:
        name: as in `open_dataset`.
        kind, label_set, encoding, classes: as in `Dataset`.
        splits: the first is the default; `all` is every frame.
        layouts: tried in this order.
        folders: names of folders below the given root in which the layouts are looked for too.
        hint: where it comes from and what to do when nothing is found.
        published: split → number of frames as published.
        hidden: splits whose ground truth is not public.
        select: (items, split) → (items, notes): what the benchmark's rules leave.
    """

    name: str
    splits: tuple[str, ...]
    layouts: tuple[Layout, ...]
    hint: str
    kind: str = "anomaly"
    encoding: Encoding = ANOMALY
    label_set: str | None = None
    classes: Encoding | None = None
    folders: tuple[str, ...] = ()
    published: Mapping[str, int] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    select: Callable[[list[Item], str], tuple[list[Item], list[str]]] | None = None


def images_in(folder: Path, pattern: str = "*") -> list[Path]:
    """Image files of a folder that match a glob pattern, in natural order; hidden files and folders are not meant."""
    if not folder.is_dir():
        return []
    found = [p for p in folder.glob(pattern) if p.suffix.lower() in IMAGE_SUFFIXES]
    found = [p for p in found if not any(part.startswith(".") for part in p.relative_to(folder).parts)]
    return sorted(found, key=natural_key)


def key(path: Path, folder: Path, endings: Iterable[str]) -> str:
    """A file's name below `folder` without its suffix and without the first of `endings` that fits."""
    # A Mac writes é as two characters, and copies keep that: names that look equal are.
    name = unicodedata.normalize("NFC", path.relative_to(folder).with_suffix("").as_posix())
    for ending in endings:
        if ending and name.endswith(ending):
            return name[: -len(ending)]
    return name


def pair(
    images: Path,
    labels: Path,
    pattern: str = "*",
    image_endings: tuple[str, ...] = (),
    label_endings: tuple[str, ...] = (),
    needs_labels: bool = True,
) -> list[Item]:
    """Frames of an image folder with the labels of the same key in a label folder.

    Args:
        pattern: glob of the images below their folder.
        image_endings, label_endings: ends of file names (before the suffix) that are not part of the key.
        needs_labels: no label found at all means that this is another layout.

    Returns:
        one item per image; its label is None where the label folder has none.

    Raises:
        DatasetError: two label files differ in their suffixes only.
    """
    found = images_in(images, pattern)
    if image_endings:
        found = [p for p in found if p.stem.endswith(image_endings)]
    truth: dict[str, Path] = {}
    for file in images_in(labels, pattern):
        if file.stem.endswith(label_endings or ""):
            other = truth.setdefault(key(file, labels, label_endings), file)
            if other is not file and other.stem == file.stem:
                raise DatasetError(f"two label files of one name, {other} and {file}: remove the one that is not meant")
            truth[key(file, labels, label_endings)] = file
    items = [Item(name := key(p, images, image_endings), p, truth.get(name)) for p in found]
    if needs_labels and not any(item.label_path for item in items):
        return []
    return items


def folders(
    images: str,
    labels: str,
    hidden: tuple[str, ...] = (),
    names: Mapping[str, str] | None = None,
    **options: Any,
) -> Callable[[Path, str], list[Item]]:
    """`find` of a layout with one image and one label folder; `{split}` in their names stands for the split.

    Args:
        hidden: splits that may come without any labels.
        names: split → what its folders are called, where that differs.
        options: of `pair`.
    """

    def find(root: Path, split: str) -> list[Item]:
        name = (names or {}).get(split, split)
        given = {"needs_labels": split not in hidden, **options}
        return pair(root / images.format(split=name), root / labels.format(split=name), **given)

    return find


def paired(pattern: str, encoding: Encoding | None = None, **options: Any) -> Layout:
    """The layout that its pattern describes: `a/{split}/{id}_x.png + b/{split}/{id}_y.png`, maybe in one more folder.

    Args:
        options: of `folders`; endings of file names take the place of those in the pattern.
    """
    (images, deep, image), (labels, _, label) = (_PART.match(part).groups() for part in pattern.split(" + "))
    described = {
        "pattern": "*/*" if deep else "*",
        "image_endings": (image,) if image else (),
        "label_endings": (label,) if label else (),
    }
    return Layout(pattern, folders(images, labels, **{**described, **options}), encoding)
