"""A parameter file as ROS 2 nodes take it, read without ROS: the same names, values and sentences as on the node."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..bounded_yaml import dotted, load_yaml
from ..errors import ConfigError
from .schema import CAMERA_NAME, ZONES, Schema, Spec, check, load_schema, unknown
from .settings import Settings, make_settings

NODE = "perception"
FOREIGN = ("qos_overrides.", "use_sim_time", "start_type_description_service", "service_introspection")
"""Parameters that rclpy itself declares, some only once a topic exists."""
_VALUES = "ros__parameters"
_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


def read_params(path: Path, node: str = NODE) -> dict[str, Any]:
    """Full parameter name → value of all blocks of the file that hold for a node; of equal names the later one counts.

    Args:
        path: YAML; blocks are named like the node (`perception`, `/front/perception`) or by wildcards (`/**`, `/*`).

    Raises:
        ConfigError: it cannot be read, is no parameter file, or has no block for the node.
    """
    data = load_yaml(path)
    if not isinstance(data, dict):
        raise ConfigError(f"{path} is no parameter file: it must begin with `/**:` or `{node}:`, then `{_VALUES}:`")
    blocks = list(_blocks(data, ""))
    if not blocks:
        raise ConfigError(f"{path} is no parameter file: no block has `{_VALUES}:`")
    found: dict[str, Any] = {}
    matching = [values for name, values in blocks if _matches(name, node)]
    if not matching:
        others = ", ".join(name for name, _ in blocks)
        raise ConfigError(f"{path} has no parameters for the node {node}; it has some for {others}")
    for values in matching:
        if not isinstance(values, dict):
            raise ConfigError(f"{path}: `{_VALUES}:` must hold names and values")
        found |= dotted(values)
    return found


def settings_for(given: Mapping[str, Any], cameras: Sequence[str]) -> tuple[Settings, list[str]]:
    """Settings of cameras that are there, and what was given in vain.

    Args:
        given: as of `read_params`; without `cameras` in it all cameras that are there are meant.
        cameras: names of those that are there; without a camera's block its parameters are at their defaults.

    Raises:
        ConfigError: one sentence for each wrong or unknown parameter.
    """
    schema = load_schema()
    given = {name: value for name, value in given.items() if not name.startswith(FOREIGN)}
    problems: list[str] = []
    values: dict[str, Any] = {}
    names = {"cameras": list(cameras), "zones": []}
    for name in names:
        if name in given:
            try:
                names[name] = check(schema.node[name], name, given[name])
            except ConfigError as error:
                problems.append(str(error))
    specs = schema.specs(names["cameras"], names["zones"])
    for name, spec in specs.items():
        values[name] = spec.default
        if name in names:
            values[name] = names[name]
        elif name in given:
            try:
                values[name] = check(spec, name, _number(spec, given[name]))
            except ConfigError as error:
                problems.append(str(error))
    idle = [name for name in given if name not in specs and is_idle_block(schema, name)]
    problems += [unknown(name, specs) for name in given if name not in specs and name not in idle]
    if problems:
        raise ConfigError("; ".join(problems))
    return make_settings(values), idle


def is_idle_block(schema: Schema, name: str) -> bool:
    """Whether an unknown name is a right one for a camera or zone that is not there: not wrong, but worth a warning."""
    if name.startswith(ZONES):
        zone, _, rest = name.removeprefix(ZONES).partition(".")
        return rest in schema.zone and CAMERA_NAME.fullmatch(zone) is not None
    camera, _, rest = name.partition(".")
    return rest in schema.camera and CAMERA_NAME.fullmatch(camera) is not None


def _blocks(data: Mapping[Any, Any], prefix: str) -> Iterable[tuple[str, Any]]:
    """(node name, its values), namespaces as nested blocks or in one name."""
    for key, value in data.items():
        name = f"{prefix}/{key}".replace("//", "/")
        if isinstance(value, dict):
            if _VALUES in value:
                yield name, value[_VALUES] or {}
            yield from _blocks({k: v for k, v in value.items() if k != _VALUES}, name)


def _matches(block: str, node: str) -> bool:
    """`/**` holds for all nodes, `*` for one name; the node's namespace is not known here and any one will do."""
    last = block.rpartition("/")[2]
    return last in (node, "**", "*")


def _number(spec: Spec, value: Any) -> Any:
    # YAML 1.1 takes 1e3 for a word, ROS takes it for a number.
    if spec.type == "double" and isinstance(value, str) and _EXPONENT.fullmatch(value):
        return float(value)
    if spec.type == "double_array" and isinstance(value, list):
        return [float(item) if isinstance(item, str) and _EXPONENT.fullmatch(item) else item for item in value]
    return value
