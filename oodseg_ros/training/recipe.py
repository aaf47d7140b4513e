"""Recipes: what `config/train/*.yaml` may say. Unknown keys are refused with the nearest right name."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from ..bounded_yaml import load_yaml
from ..errors import ConfigError, listed
from ..model_card import InputSpec, Licence, Name
from .data_recipe import AugmentSpec, CutoutSpec, DataSpec, OutlierSpec, Range, Size, Strict, expand  # noqa: F401
from .methods import StageSpec


class ObjectsSpec(Strict):
    """How objects are made of pixels, chosen on whole frames without unknowns (`calibration.fit_objects.fit_objects`).

    Attributes:
        data: the frames; their labels do not matter.
        ground_classes: classes that objects stand on; none = those of the label set.
        every: every n-th frame chooses, the others are kept apart to measure on.
        false_frames, false_elsewhere, grow_rate, core_rate, seed, min_area, coherence: as in
            `object_target.ObjectTarget`.
    """

    data: list[DataSpec] = Field(min_length=1)
    ground_classes: tuple[str, ...] = ()
    false_frames: float = Field(0.01, gt=0, lt=1)
    false_elsewhere: float | None = Field(None, gt=0, lt=1)
    grow_rate: float = Field(0.02, gt=0, lt=1)
    core_rate: float = Field(0.001, ge=0, lt=1)
    seed: float = Field(0.5, gt=0, le=1)
    min_area: int = Field(100, ge=1)
    coherence: float = Field(0.7, ge=0, lt=1)
    every: int = Field(1, ge=1)


class CalibrationSpec(Strict):
    """Held-out frames for threshold and score table.

    `false_positive_rate` is the share of inlier pixels above the threshold on these frames, with unknowns pasted in.
    With `objects` the threshold is theirs instead.
    """

    data: list[DataSpec]
    false_positive_rate: float = Field(0.005, gt=0, lt=1)
    frames: int = Field(100, gt=0)
    objects: ObjectsSpec | None = None


class MemberStart(Strict):
    """The bundle (shipped name or folder) that a member of an ensemble starts from, which is a network of its own, or
    reads a decoder of its own: that and the head are taken.
    """

    member: int = Field(ge=0)
    bundle: str


class Recipe(Strict):
    """A training run from data to bundle.

    `start` says where training starts from (see `start`): a bundle, a weights file, or `transformers:NAME`. Of a bundle
    or file the `start_parts` are taken, which must fit; a head that does not fit is left as it is. Members of the head
    that are networks (`other_network`) or have decoders of their own may start from `start_members`. With `stages: []`
    nothing is trained: the parts are put together, and the bundle is calibrated as any other.
    """

    name: Name
    description: str = ""
    label_set: str
    network: dict[str, Any]
    start: str = ""
    start_parts: tuple[Literal["backbone", "decoder", "classifier", "head"], ...] = (
        "backbone",
        "decoder",
        "classifier",
        "head",
    )
    start_members: list[MemberStart] = Field(default_factory=list)
    input: InputSpec
    crop: Size
    widths: Range = (480.0, 1300.0)
    augment: AugmentSpec = AugmentSpec()
    data: list[DataSpec]
    outliers: OutlierSpec = OutlierSpec()
    stages: list[StageSpec]
    calibration: CalibrationSpec
    licence: Licence
    seed: int = 2000
    workers: int = Field(1, ge=0)
    precision: Literal["fp32", "bf16"] = "fp32"

    @model_validator(mode="after")
    def _something_to_train_on(self) -> Recipe:
        if self.stages and not self.data:
            raise ValueError("data: the stages need frames to train on")
        return self


def load_recipe(path: str | Path) -> Recipe:
    """Read a recipe file.

    With `base: other.yaml` its keys replace those of that file beside it, key by key at the top; a base may have one
    itself. Label files (`label_set`, `labels`) are looked for beside the recipe first.

    Raises:
        ConfigError: unreadable file, unknown key (with the nearest right one) or wrong value.
    """
    data = _with_bases(Path(path), ())
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"recipe {path}: " + listed([_sentence(item) for item in error.errors()], 8, "; ")) from error


def _with_bases(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in above:
        raise ConfigError(f"recipe {path} is its own base: {' -> '.join(file.name for file in (*above, path))}")
    data = _beside(_read(path), path.parent)
    if "base" in data:
        base = data.pop("base")
        if not isinstance(base, str) or "\0" in base:
            raise ConfigError(f"recipe {path}: base: {base!r} is no file name")
        data = _with_bases(path.parent / base, (*above, path.resolve())) | data
    return data


def _beside(value: Any, folder: Path) -> Any:
    """The same with label files that lie beside the recipe named by their place."""
    if isinstance(value, list):
        return [_beside(entry, folder) for entry in value]
    if not isinstance(value, dict):
        return value
    found = {}
    for key, entry in value.items():
        file = folder / entry if key in ("label_set", "labels") and isinstance(entry, str) else None
        is_file = file is not None and file.suffix in (".yaml", ".yml") and file.is_file()
        found[key] = str(file) if is_file else _beside(entry, folder)
    return found


def _read(path: Path) -> dict[str, Any]:
    data = load_yaml(path, f"recipe {path}")
    if not isinstance(data, dict):
        raise ConfigError(f"recipe {path} is not a mapping of keys to values")
    return data


def _sentence(item: dict[str, Any]) -> str:
    place = ".".join(map(str, item["loc"]))
    if item["type"] != "extra_forbidden":
        return f"{place}: {item['msg']}"
    model: Any = Recipe
    for part in item["loc"][:-1]:
        if isinstance(part, str):
            annotation = model.model_fields[part].annotation
            inner = [kind for kind in getattr(annotation, "__args__", (annotation,)) if hasattr(kind, "model_fields")]
            if not inner:
                break
            model = inner[0]
    near = difflib.get_close_matches(str(item["loc"][-1]), model.model_fields, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(model.model_fields)}"
    return f"{place}: unknown key, {hint}"
