"""From the keys of a released file to ours; every difference is named."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from torch import Tensor

from ..errors import CheckpointError

Rule = tuple[str, str]
"""(regular expression for the whole key, replacement as in `re.sub`)."""


def renamed(state: Mapping[str, Tensor], rules: Sequence[Rule]) -> tuple[dict[str, Tensor], list[str]]:
    """Apply the first rule that matches each key; keys that no rule matches come back as the second value.

    Raises:
        CheckpointError: two keys end up with the same name.
    """
    compiled = [(re.compile(pattern), replacement) for pattern, replacement in rules]
    mapped: dict[str, Tensor] = {}
    unknown = []
    for key, value in state.items():
        for pattern, replacement in compiled:
            if pattern.fullmatch(key):
                name = pattern.sub(replacement, key)
                if name in mapped:
                    raise CheckpointError(f"the file has two tensors for {name}, the second is {key}")
                mapped[name] = value
                break
        else:
            unknown.append(key)
    return mapped, unknown


def taken(
    state: Mapping[str, Tensor], rules: Sequence[Rule], not_needed: re.Pattern[str]
) -> tuple[dict[str, Tensor], dict[str, tuple[str, ...]]]:
    """`renamed` without the keys that are `not_needed`; and what `Imported` tells of the others: `unknown`, `ignored`.

    Raises:
        CheckpointError: two keys end up with the same name.
    """
    ignored = tuple(key for key in state if not_needed.fullmatch(key))
    mapped, unknown = renamed({key: value for key, value in state.items() if key not in ignored}, rules)
    return mapped, {"unknown": tuple(unknown), "ignored": ignored}


def changed(state: dict[str, Tensor], pattern: str, change: Callable[[Tensor], Tensor]) -> None:
    """Replace the tensors whose whole key matches, in place of the dictionary."""
    compiled = re.compile(pattern)
    for key in [key for key in state if compiled.fullmatch(key)]:
        state[key] = change(state[key])


def split(state: dict[str, Tensor], pattern: str, into: Sequence[str]) -> None:
    """Replace each tensor whose whole key matches by equal parts of its first axis.

    `into` are replacements for the key, as in `re.sub`, one per part.
    """
    compiled = re.compile(pattern)
    for key in [key for key in state if compiled.fullmatch(key)]:
        for replacement, part in zip(into, state.pop(key).chunk(len(into)), strict=True):
            state[compiled.sub(replacement, key)] = part


def as_conv1x1(weight: Tensor) -> Tensor:
    """A linear layer's weight `[O, I]` as that of a 1x1 convolution."""
    return weight[:, :, None, None]


def as_linear(weight: Tensor) -> Tensor:
    """A 1x1 convolution's weight `[O, I, 1, 1]` as that of a linear layer."""
    return weight[:, :, 0, 0]


def check_fit(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], unknown: Iterable[str], where: str) -> None:
    """Compare with the state dict of the network that the file describes.

    Raises:
        CheckpointError: listing every missing, unexpected and misshapen key.
    """
    shapes = [(key, state[key].shape, expected[key].shape) for key in expected.keys() & state.keys()]
    misshapen = [(key, here, there) for key, here, there in shapes if here != there]
    unexpected = [*unknown, *(state.keys() - expected.keys())]
    said = f"{where} does not fit the network that it should hold"
    refuse_differences(said, expected.keys() - state.keys(), unexpected, misshapen)


def refuse_differences(
    said: str, missing: Iterable[str], unexpected: Iterable[str], misshapen: Iterable[tuple[str, Sequence, Sequence]]
) -> None:
    """Refuse a file for its keys, if there are any.

    Args:
        misshapen: key, shape in the file, shape in the network.

    Raises:
        CheckpointError: `said`, and a list of each kind.
    """
    shapes = [f"{key}: file {list(here)}, network {list(there)}" for key, here, there in misshapen]
    parts = [
        f"{what} ({len(keys)}):\n  " + "\n  ".join(keys)
        for what, found in (("missing", missing), ("unexpected", unexpected), ("misshapen", shapes))
        if (keys := sorted(map(str, found)))
    ]
    if parts:
        raise CheckpointError("\n".join([said, *parts]))
