"""Good inputs → bad ones: bytes that flip and vanish, and YAML whose values become something else."""

from __future__ import annotations

import random
from typing import Any

import yaml

ODD: tuple[Any, ...] = (
    None, True, -1, 0, 10**30, 1e308, float("nan"), float("inf"), "", "x" * 5000, "../../etc/passwd", "\0", [], {},
    [[]], {"a": {"b": 1}}, [None] * 100, "2024-01-01", -(10**30), b"bytes",
)  # fmt: skip
MAGIC = (
    b"\0", b"\xff", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"&a ", b"*a", b"<<: ", b"!!", b"[[[",
)  # fmt: skip


def mutated_bytes(data: bytes, chance: random.Random) -> bytes:
    """A few edits: flip, overwrite with a magic value, insert, delete, repeat, cut."""
    content = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at = chance.randrange(len(content) + 1)
        edit = chance.randrange(6)
        if edit == 0 and at < len(content):
            content[at] ^= 1 << chance.randrange(8)
        elif edit == 1:
            magic = chance.choice(MAGIC)
            content[at : at + len(magic)] = magic
        elif edit == 2:
            content[at:at] = chance.randbytes(chance.choice((1, 4, 100)))
        elif edit == 3:
            del content[at : at + chance.choice((1, 4, 100))]
        elif edit == 4:
            content[at:at] = content[at : at + 50] * chance.choice((1, 20))
        elif chance.random() < 0.2:
            del content[at:]
    return bytes(content)


def mutated_yaml(data: bytes, chance: random.Random) -> bytes:
    """Still YAML, but a value, key or list entry is another one, gone, or twice there."""
    tree = yaml.safe_load(data)
    for _ in range(chance.choice((1, 1, 2, 5))):
        _edit(tree, chance)
    return yaml.safe_dump(tree, sort_keys=False).encode()


def _edit(tree: Any, chance: random.Random) -> None:
    node = tree
    while True:
        places = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not places:
            return
        place = chance.choice(places)
        if isinstance(node[place], (dict, list)) and node[place] and chance.random() < 0.8:
            node = node[place]
            continue
        edit = chance.randrange(4)
        if edit == 0:
            del node[place]
        elif edit == 1 and isinstance(node, dict):
            node[chance.choice(("surprise", 7, None, True, "name", "classes"))] = node.pop(place)
        elif edit == 2 and isinstance(node, list):
            node.extend([node[place]] * chance.choice((1, 300)))
        else:
            node[place] = chance.choice(ODD)
        return
