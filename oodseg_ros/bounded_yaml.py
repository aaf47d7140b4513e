"""YAML from outside: plain data only, and bounded in bytes, depth and in what its aliases expand to.

PyYAML's safe loader runs no code, but it does follow aliases: a few hundred bytes can stand for billions of values,
which whoever copies the data would make real.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from .errors import ConfigError, why

MAX_BYTES = 2_000_000
MAX_VALUES = 500_000
MAX_DEPTH = 60

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_yaml(source: Path | bytes, where: str | None = None) -> Any:
    """The data of a YAML file, or of its bytes.

    Args:
        source: a file, or its content.
        where: named in errors; default: the file.

    Raises:
        ConfigError: unreadable, no YAML, or too large, too deep or too much repeated.
    """
    where = where or str(source)
    try:
        if isinstance(source, Path):
            with source.open("rb") as stream:
                source = stream.read(MAX_BYTES + 1)
        if len(source) > MAX_BYTES:
            raise ConfigError(f"{where} is larger than {MAX_BYTES // 10**6} MB; that is no file of settings")
        text = source.decode("utf-8")
        _check_depth(text, where)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _size(node, {}, 0, where)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{where} cannot be read: {why(error)}") from error
    except (ValueError, TypeError, OverflowError, RecursionError, KeyError, AttributeError) as error:
        # PyYAML's constructors raise what the values raise: dates of month 13, integers of 5000 digits, lists as keys.
        raise ConfigError(f"{where} cannot be read: {type(error).__name__}: {str(error)[:200]}") from error


def dotted(block: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Values by the keys that lead to them: `{a: {b: 1}}` is `a.b: 1`."""
    flat: dict[str, Any] = {}
    for key, value in block.items():
        flat |= dotted(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _check_depth(text: str, where: str) -> None:
    """Refuse what is nested too deep before anything recursive touches it; the parser itself only counts."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise ConfigError(f"{where} is nested deeper than {MAX_DEPTH} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _size(node: yaml.Node, known: dict[int, int], depth: int, where: str) -> int:
    """Number of values that a node stands for, aliases unfolded; counted once per node."""
    if depth > MAX_DEPTH:
        raise ConfigError(f"{where} is nested deeper than {MAX_DEPTH} levels")
    if id(node) in known:
        if known[id(node)] < 0:
            raise ConfigError(f"{where} contains itself by an alias")
        return known[id(node)]
    known[id(node)] = -1
    size = 1
    if isinstance(node, yaml.MappingNode):
        size += sum(_size(part, known, depth + 1, where) for pair in node.value for part in pair)
    elif isinstance(node, yaml.SequenceNode):
        size += sum(_size(item, known, depth + 1, where) for item in node.value)
    if size > MAX_VALUES:
        raise ConfigError(f"{where} unfolds to more than {MAX_VALUES:,} values by its aliases; refused as a bomb")
    known[id(node)] = size
    return size
