"""Class names of a foreign file: which label set they are, and what to do where they are none."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from ..errors import CheckpointError, ConfigError
from ..labels import load_labels
from ..paths import config_dir

FROM_FILE = "from-file"
"""As `--labels`: the names in the file, with made-up colours."""
NUMBERED = re.compile(r"(?:label|class|cls|category|id|c)?[ _-]?(\d+)", re.IGNORECASE)


def known_label_set(names: Sequence[str]) -> str | None:
    """The label set of this package with these names in this order; None where there is none."""
    for file in sorted((config_dir() / "labels").glob("*.yaml")):
        try:
            if names and _same(load_labels(file).names) == _same(names):
                return file.stem
        except ConfigError:
            continue
    return None


def chosen_label_set(
    labels: str | None, found: str | None, names: Sequence[str], where: str, folder: Path
) -> tuple[str, list[str]]:
    """The label set to use, and sentences on what it means; `folder` takes the file of a new one.

    Args:
        labels: what the user named, or None.
        found: the file's own.
        names: those in the file, empty where it has none.

    Raises:
        CheckpointError: nobody can say which classes these are, or the named set has the file's in another order.
        ConfigError: there is no such label set.
    """
    listed = f"{', '.join(names[:4])}{', …' if len(names) > 4 else ''}"
    if labels is None and found is not None:
        return found, []
    if labels is None and _numbered(names):
        note = f"the file only numbers its classes ({listed}); they keep these names, name a label set with --labels"
        return str(_write(names, folder / "labels.yaml")), [note]
    if labels is None:
        what = (
            f"its {len(names)} class names ({listed}) are those" if names else "it names no classes, so they are those"
        )
        own = f", or --labels {FROM_FILE} to take the names as they are, with made-up colours" if names else ""
        raise CheckpointError(
            f"{where}: {what} of no label set of this version; name the right one with --labels (one of config/labels, "
            f"or a YAML file of your own){own}"
        )
    if labels == FROM_FILE:
        if not names:
            raise CheckpointError(f"{where} names no classes that --labels {FROM_FILE} could take")
        return str(_write(names, folder / "labels.yaml")), [f"classes named as in the file: {listed}"]
    wanted = load_labels(labels).names
    if names and not _numbered(names) and _same(wanted) != _same(names):
        if sorted(_same(wanted)) == sorted(_same(names)):
            at = next(k for k, (a, b) in enumerate(zip(_same(wanted), _same(names), strict=True)) if a != b)
            raise CheckpointError(
                f"{where} has the classes of {labels} in another order: its output {at} is {names[at]!r}, the set's is "
                f"{wanted[at]!r}; write a label file in the file's order, or use --labels {FROM_FILE}"
            )
        return labels, [f"the file calls its classes {listed}; they are taken for {', '.join(wanted[:4])}, … as asked"]
    return labels, []


def _numbered(names: Sequence[str]) -> bool:
    """Whether they say no more than the number of the output."""
    found = [NUMBERED.fullmatch(name) for name in names]
    return bool(names) and all(match and int(match[1]) == index for index, match in enumerate(found))


def _same(names: Sequence[str]) -> list[str]:
    return [" ".join(re.sub(r"[-_]", " ", name).lower().split()) for name in names]


def _write(names: Sequence[str], file: Path) -> Path:
    unique = [name if list(names).count(name) == 1 else f"{name} ({index})" for index, name in enumerate(names)]
    # Hues a golden section apart: any few neighbours are far from each other.
    colors = [colorsys.hsv_to_rgb(index * 0.618 % 1, 0.55 + 0.4 * (index % 2), 0.9) for index in range(len(names))]
    classes = [
        {"name": name, "color": [round(255 * part) for part in color]}
        for name, color in zip(unique, colors, strict=True)
    ]
    file.write_text(yaml.safe_dump({"name": "from_file", "classes": classes}, sort_keys=False, allow_unicode=True))
    load_labels(file)
    return file
