"""All datasets that can be opened by name."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

from ..errors import DatasetError, listed
from ..labels import load_labels
from ..sources.image_files import FOREIGN_SUFFIXES
from .dataset import Dataset, Item
from .encoding import CITYSCAPES_TRAIN_IDS, class_ids, unknown_among
from .layout import NO_SPLITS, Format, Layout, images_in
from .layouts import anomalies, driving, own, simulated
from .layouts.own import DEPTHS, FOLDER, FOLDER_TRAIN_IDS

KINDS = (anomalies, simulated, driving, own)
FORMATS: dict[str, Format] = {form.name: form for kind in KINDS for form in kind.FORMATS}


def open_dataset(
    name: str, root: str | Path, split: str | None = None, labels: str | None = None, unknown: int | None = None
) -> Dataset:
    """Open a dataset by name; its layout on disk is recognized. Files are listed, not read.

    Args:
        name: a key of `FORMATS`.
        root: the folder that holds it, or the folder above.
        split: one of the format's splits; `all` joins them; None = the one that evaluations use.
        labels: only for `folder`: name or path of the label set whose class ids the label files hold.
        unknown: only with `labels`: the value that marks unknown objects, 0..254; makes it an anomaly dataset.

    Raises:
        DatasetError: unknown name or split, or no known layout fits: what was looked for, what is there, what to do.
    """
    root = Path(root).expanduser()
    if name not in FORMATS:
        raise DatasetError(f"no dataset is called {name!r}; known: {', '.join(FORMATS)}")
    if root.is_file():
        raise DatasetError(
            f"dataset {name}: {root} is a file; give the folder that holds the data. "
            f"What is needed: {FORMATS[name].hint}"
        )
    if not root.is_dir():
        raise DatasetError(f"dataset {name}: the folder {root} does not exist; give the folder that holds the data")
    if unknown is not None and not (labels and name == "folder"):
        raise DatasetError("a value of unknown objects (--unknown) goes with `folder` and its --labels only")
    form = _folder_format(split, labels, unknown) if name == "folder" else FORMATS[name]
    if labels and name != "folder":
        raise DatasetError(f"dataset {name} has its own labels; a label set can be given only for `folder`")
    split = form.splits[0] if split is None else split
    if split == "all" and "all" not in form.splits:
        return _joined(form, root)
    if split not in form.splits:
        raise DatasetError(f"dataset {name} has no split {split!r}; it has {', '.join((*form.splits, 'all'))}")
    for base in (root, *(root / place for place in form.folders if (root / place).is_dir())):
        for layout in form.layouts:
            items = layout.find(base, split)
            if items:
                return _opened(form, layout, base, split, items)
    raise DatasetError(_not_found(form, root, split))


def _folder_format(split: str | None, labels: str | None, unknown: int | None) -> Format:
    """`folder` for this call: any split, and class ids where a label set is named."""
    form = replace(FOLDER, splits=(split or "",))
    if labels:
        encoding, layouts = class_ids(load_labels(labels).colors), (*form.layouts, FOLDER_TRAIN_IDS)
        form = replace(form, label_set=labels, layouts=layouts)
        if unknown is None:
            return replace(form, kind="semantic", encoding=encoding)
        encoding, classes = unknown_among(encoding, unknown)
        return replace(form, encoding=encoding, classes=classes)
    return replace(form, layouts=(*form.layouts, replace(FOLDER_TRAIN_IDS, encoding=CITYSCAPES_TRAIN_IDS)))


def _opened(form: Format, layout: Layout, base: Path, split: str, items: list[Item]) -> Dataset:
    notes: list[str] = []
    if form.select:
        items, notes = form.select(items, split)
    if split in form.hidden:
        items = [replace(item, label_path=None) for item in items]
        notes = [note for note in notes if "ground truth" not in note]
        notes.append("the ground truth of this split is not public: its frames are never scored")
    missing = [item for item in items if item.label_path is None]
    if missing and not any("ground truth" in note for note in notes):
        notes.append(f"{len(missing)} frames have no label file and are never scored, e.g. {missing[0].id}")
    _refuse_doubles(form, items)
    encoding, kind, label_set = layout.encoding or form.encoding, form.kind, form.label_set
    if encoding is CITYSCAPES_TRAIN_IDS and form.name == "folder":
        kind, label_set = "semantic", "cityscapes19"
    return Dataset(
        name=form.name,
        kind=kind,
        label_set=label_set,
        items=tuple(items),
        root=base,
        split=split,
        layout=layout.pattern,
        encoding=encoding,
        classes=form.classes,
        notes=tuple(notes),
        published=None if NO_SPLITS in layout.pattern else form.published.get(split),
    )


def _joined(form: Format, root: Path) -> Dataset:
    """All splits that are there, ids with the split in front."""
    parts = []
    for split in form.splits:
        try:
            parts.append(open_dataset(form.name, root, split))
        except DatasetError:
            continue
        if NO_SPLITS in parts[-1].layout:
            return parts[-1]
    if not parts:
        raise DatasetError(_not_found(form, root, "all"))
    items = tuple(replace(item, id=f"{part.split}/{item.id}") for part in parts for item in part.items)
    notes = tuple(f"{part.split}: {note}" for part in parts for note in part.notes)
    return replace(parts[0], items=items, split="all", notes=notes, published=None)


def _refuse_doubles(form: Format, items: list[Item]) -> None:
    seen: dict[str, Path] = {}
    for item in items:
        if item.id in seen:
            raise DatasetError(
                f"dataset {form.name}: frame {item.id} is there twice, as {seen[item.id]} and {item.image_path}; "
                "remove one of them"
            )
        seen[item.id] = item.image_path


def _no_pairs(root: Path, split: str) -> str:
    """Why pictures and labels that are there do not belong together: another split is meant, their names, or labels
    that are no pictures.
    """
    ways = [f"{split}/{{}}", f"{{}}/{split}"] if split else ["{}"]
    ways = [way for way in ways if (root / way.format("images")).is_dir()]
    if not ways:
        there = {place.parent.name for place in root.glob("*/images") if place.is_dir()}
        there |= {place.name for place in root.glob("images/*") if place.is_dir()}
        if there:
            given = f"There is no split {split}, but" if split else "A split has to be given (--split), of"
            return f". {given} {listed(sorted(there))}"
        if not split:
            return ""
        meant = f". There is no split {split}: without a split all of images/ is meant"
        return meant if images_in(root / "images") else ""
    for way, labels in itertools.product(ways, ("labels", "masks")):
        names, first = [way.format("images"), way.format(labels)], []
        for place in (root / name for name in names):
            files = [file for depth in DEPTHS for file in images_in(place, depth)]
            first.append(files[0].relative_to(place) if files else None)
        foreign = {s for f in (root / names[0]).glob("**/*") if (s := f.suffix.lower()) in FOREIGN_SUFFIXES}
        if foreign and not first[0]:
            kinds = ", ".join(sorted(foreign))
            return f". {names[0]}/ holds pictures of kinds that are not read ({kinds}): convert them to PNG"
        if all(first):
            has = f"{names[0]}/ has, e.g., {first[0]}, {names[1]}/ has {first[1]}"
            return f". No name is in both: {has}; they must be equal"
        others = sorted({file.suffix for file in (root / names[1]).glob("*.*") if not file.name.startswith(".")})
        if first[0] and others:
            return f". {names[1]}/ holds no pictures but {', '.join(others)} files: draw them as label PNGs first"
    return ""


def _not_found(form: Format, root: Path, split: str) -> str:
    looked = "; ".join(layout.pattern.replace("{split}", split or "{split}") for layout in form.layouts)
    below = f", also below {', '.join(form.folders)}" if form.folders else ""
    entries = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in root.iterdir())
    there = listed(entries, 10) or "nothing"
    part = f" split {split}" if split else ""
    there += _no_pairs(root, split) if form.name == FOLDER.name else ""
    return (
        f"dataset {form.name}{part}: no frames found under {root}. Looked for: {looked}{below}. "
        f"Found there: {there}. What is needed: {form.hint}"
    )
