"""The node's parameters as `config/parameters.yaml` states them: read, check values, find typos, write an example.

Run as a module it prints `config/perception.yaml`. `less_careful` says which changes make the node less careful: they
are logged, and may be locked.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..errors import ConfigError
from ..paths import config_dir

TYPES = {"string": str, "bool": bool, "integer": int, "double": float, "string_array": list, "double_array": list}
CAREFUL = ("", "lower", "higher", "more", "first", "same")
ZONES = "zone."
"""Prefix of the blocks of zones; with it no camera may be called `zone`."""
MAX_NUMBERS = 256
RESERVED = ("zone", "health", "obstacles", "publish", "record")
"""Groups of the node's own parameters, which a camera's block must not be confused with."""
CAMERA_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")


@dataclass(frozen=True)
class Spec:
    """One parameter.

    Attributes:
        name: as declared; of a camera parameter without the camera's name.
        type: one of `TYPES`.
        default: value of that type.
        range: lowest and highest number, both allowed.
        choices: the allowed strings; of a list, those that it may hold.
        runtime: may be changed while the node is configured.
        careful: which way is the careful one, out of `CAREFUL`; empty = neither.
    """

    name: str
    type: str
    default: Any
    description: str
    range: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()
    runtime: bool = False
    careful: str = ""


@dataclass(frozen=True)
class Schema:
    """`node`: the node's own parameters; `camera`, `zone`: those of every such block. Name → spec, in file order."""

    node: Mapping[str, Spec] = field(default_factory=dict)
    camera: Mapping[str, Spec] = field(default_factory=dict)
    zone: Mapping[str, Spec] = field(default_factory=dict)

    def specs(self, cameras: Iterable[str], zones: Iterable[str] = ()) -> dict[str, Spec]:
        """Full name → spec of all parameters of a node with these cameras and zones."""
        blocks = {f"{camera}.{name}": spec for camera in cameras for name, spec in self.camera.items()}
        places = {f"{ZONES}{zone}.{name}": spec for zone in zones for name, spec in self.zone.items()}
        return {**self.node, **blocks, **places}


def load_schema(path: Path | None = None) -> Schema:
    """Read a schema file; None = the package's own.

    Raises:
        ConfigError: a parameter without description, of unknown type, or with a default that its own spec refuses.
    """
    path = path or config_dir() / "parameters.yaml"
    data = yaml.safe_load(path.read_text())
    parts = {
        part: {name: _spec(path, name, entry) for name, entry in data.get(part, {}).items()}
        for part in ("node", "camera", "zone")
    }
    return Schema(**parts)


def _spec(path: Path, name: str, entry: dict[str, Any]) -> Spec:
    try:
        spec = Spec(
            name,
            **{
                **entry,
                "range": tuple(entry["range"]) if "range" in entry else None,
                "choices": tuple(entry.get("choices", ())),
            },
        )
    except TypeError as error:
        raise ConfigError(f"{path}: {name}: {error}") from error
    if spec.type not in TYPES or not spec.description or spec.careful not in CAREFUL:
        raise ConfigError(f"{path}: {name}: needs a description and a type out of {', '.join(TYPES)}")
    check(spec, name, spec.default)
    return spec


def check(spec: Spec, name: str, value: Any) -> Any:
    """The value, an integer where a double is meant turned into one; `name` is the full name, for the sentence.

    Raises:
        ConfigError: wrong type, out of range, not one of the choices, infinite, or NaN where that means nothing.
    """
    if spec.type == "double" and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    expected = TYPES[spec.type]
    if spec.type == "string_array":
        if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
            raise ConfigError(f"parameter {name} must be a list of strings, got {_shown(value)}")
        value = list(value)
    elif spec.type == "double_array":
        fits = isinstance(value, (list, tuple)) and len(value) <= MAX_NUMBERS
        if not fits or any(isinstance(item, bool) or not isinstance(item, (int, float)) for item in value):
            raise ConfigError(f"parameter {name} must be a list of at most {MAX_NUMBERS} numbers, got {_shown(value)}")
        value = [float(item) for item in value]
    elif not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
        raise ConfigError(f"parameter {name} must be of type {spec.type}, got {_shown(value)}")
    infinite = expected is float and math.isinf(value)
    if infinite or (spec.type == "double_array" and not all(map(math.isfinite, value))):
        raise ConfigError(f"parameter {name} must be finite, got {_shown(value)}")
    nothing = expected is float and math.isnan(value) and math.isnan(spec.default)
    if spec.range and not nothing and not spec.range[0] <= value <= spec.range[1]:
        raise ConfigError(f"parameter {name} must be from {spec.range[0]:g} to {spec.range[1]:g}, got {_shown(value)}")
    wrong = [item for item in (value if expected is list else [value]) if spec.choices and item not in spec.choices]
    if wrong:
        what = "hold some of" if expected is list else "be one of"
        raise ConfigError(f"parameter {name} must {what} {', '.join(spec.choices)}, got {_shown(wrong[0])}")
    if spec.name in ("cameras", "zones"):
        _check_names(spec.name, value)
    return value


def _check_names(parameter: str, names: list[str]) -> None:
    kind = parameter[:-1]
    if not names and kind == "camera":
        raise ConfigError("parameter cameras is empty; name at least one camera, e.g. cameras: [front]")
    for name in names:
        if not CAMERA_NAME.fullmatch(name) or (kind == "camera" and name in RESERVED):
            raise ConfigError(
                f"parameter {parameter}: {_shown(name)} cannot be a {kind} name; "
                f"use letters, digits and underscores, letter first, and none of {', '.join(RESERVED)}"
            )
    if len(set(names)) != len(names):
        raise ConfigError(f"parameter {parameter} names a {kind} twice: {', '.join(names)}")


def unknown(name: str, specs: Mapping[str, Spec]) -> str:
    """The sentence about a parameter that does not exist, with the nearest one that does."""
    nearest = difflib.get_close_matches(name, specs, n=1, cutoff=0.5)
    # A block for a camera that is not in `cameras` is the usual cause of a dotted unknown name.
    hint = f"did you mean {nearest[0]}?" if nearest else "config/perception.yaml lists all of them"
    head, _, tail = name.partition(".")
    if tail and any(spec.name == tail and full != tail for full, spec in specs.items()):
        hint = f"if {head} is a camera, add it to `cameras`"
    return f"parameter {name} does not exist; {hint}"


def _shown(value: Any) -> str:
    text = repr(value)
    return (text if len(text) <= 80 else text[:77] + "...") + f" ({type(value).__name__})"


def render(schema: Schema) -> str:
    """`config/perception.yaml`: every parameter at its default, with its description as comment."""
    lines = [
        "# Parameters of the node `perception`, every one at its default. Copy, change, and give the copy to the node:",
        "#   ros2 launch oodseg_ros perception.launch.py params_file:=<copy>",
        "# Wrong names, types and values are refused at configure with a sentence. (runtime) = may change at any time.",
        "# Made by `python -m oodseg_ros.parameters.schema` from config/parameters.yaml; a test holds them equal.",
        "/**:",
        "  ros__parameters:",
    ]
    lines += _rendered(schema.node, 4)
    for camera in schema.node["cameras"].default:
        lines += ["", "    # One such block for every name in `cameras`.", f"    {camera}:"]
        lines += _rendered(schema.camera, 6)
    lines += [
        "",
        "    # One such block for every name in `zones`, here for one called `lane`:",
        "    # zone:",
        "    #   lane:",
    ]
    lines += [f"    #     {line.strip()}" for line in _rendered(schema.zone, 0)]
    return "\n".join(lines) + "\n"


def _rendered(specs: Mapping[str, Spec], indent: int) -> list[str]:
    pad, lines, group = " " * indent, [], ""
    for name, spec in specs.items():
        head, _, tail = name.rpartition(".")
        if head != group and head:
            lines.append(f"{pad}{head}:")
        group = head
        inner = pad + "  " * bool(head)
        lines += [f"{inner}# {_comment(spec)}", f"{inner}{tail}: {_literal(spec.default)}"]
    return lines


def _comment(spec: Spec) -> str:
    limits = f" [{spec.range[0]:g} to {spec.range[1]:g}]" if spec.range else ""
    limits = f" [{' | '.join(spec.choices)}]" if spec.choices else limits
    return spec.description + limits + (" (runtime)" if spec.runtime else "")


def _literal(value: Any) -> str:
    if isinstance(value, float) and math.isnan(value):
        return ".nan"
    if isinstance(value, str):
        return f'"{value}"'
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("\n").removesuffix("\n...")


def less_careful(
    specs: Mapping[str, Spec],
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    meanings: Mapping[str, float] | None = None,
) -> list[str]:
    """One text `name 1.34 -> 3.0` for each parameter that became less careful.

    Args:
        specs: full name → spec; `careful` tells the way.
        before, after: full name → value; names missing in `before` are compared with their default.
        meanings: what NaN stands for, by name; where it is not known a change from or to NaN counts as less careful.
    """
    meanings = meanings or {}
    texts = []
    for name, value in after.items():
        spec = specs.get(name)
        if spec is None or not spec.careful:
            continue
        old, new = (_meant(name, each, meanings) for each in (before.get(name, spec.default), value))
        if _is_less(spec, old, new):
            texts.append(f"{name} {_text(old)} -> {_text(new)}")
    return texts


def _meant(name: str, value: Any, meanings: Mapping[str, float]) -> Any:
    return meanings.get(name, value) if isinstance(value, float) and math.isnan(value) else value


def _is_less(spec: Spec, old: Any, new: Any) -> bool:
    if old == new or all(isinstance(each, float) and math.isnan(each) for each in (old, new)):
        return False
    if spec.careful == "same":
        return True
    if spec.careful == "more":
        return not set(old) <= set(new)
    if spec.careful == "first":
        return spec.choices.index(new) > spec.choices.index(old)
    # Written so that NaN, of which nothing is known, is never the careful one.
    return not (new <= old if spec.careful == "lower" else new >= old)


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    print(render(load_schema()), end="")
