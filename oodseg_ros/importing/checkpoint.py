"""Reading files that others wrote, without running what is in them."""

from __future__ import annotations

import logging
import pickle
import re
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import CheckpointError, listed, why

EASY_DICT = (OrderedDict, "easydict.EasyDict")
"""What `read_checkpoint` may be told to admit: (class that is made instead, name in the file). The file's own class
is never imported; an ordered dictionary takes its place (torch refuses to fill any other kind of dictionary)."""


class _Dtype:
    """Stands for `numpy.dtype` in a file: numpy's own would do far more than numbers need."""

    def __init__(self, text: str, *flags: Any) -> None:
        self.text = str(text)

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">"):
            self.text = state[1] + self.text.lstrip("<>=|")


def _number(dtype: _Dtype, data: bytes = b"") -> int | float | bool:
    """What a numpy scalar in a file becomes."""
    if not isinstance(dtype, _Dtype) or np.dtype(dtype.text).kind not in "biuf":
        raise ValueError("a numpy scalar that is no number")
    return np.frombuffer(data, np.dtype(dtype.text), count=1)[0].item()


def _encoded(text: str, encoding: str = "latin1") -> bytes:
    """How protocol 2 stores bytes."""
    if encoding != "latin1":
        raise ValueError(f"bytes encoded as {encoding!r}")
    return text.encode("latin1")


NUMBERS = (
    (_Dtype, "numpy.dtype"),
    (_number, "numpy.core.multiarray.scalar"),
    (_number, "numpy._core.multiarray.scalar"),
    (_encoded, "_codecs.encode"),
)
"""Epoch and best score are often numpy scalars; they come out as Python's numbers."""
FIRST_BYTES = (
    (
        re.compile(rb"version https://git-lfs"),
        "a git-lfs pointer, not the file it stands for: run `git lfs pull` there",
    ),
    (
        re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype|!--|html|head|\?xml|script|body|meta|title)", re.IGNORECASE),
        "a web page, not a checkpoint: the download asked to sign in or hit a quota; fetch it in a browser",
    ),
    (re.compile(rb"\s*[\[{]"), "a text file (JSON), not a checkpoint; the weights are in another file"),
    (re.compile(rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|Rar!"), "a compressed archive: unpack it and give the file inside"),
    (re.compile(rb".{257}ustar", re.DOTALL), "a tar archive: unpack it and give the file inside"),
    (re.compile(rb"\x89HDF"), "an HDF5 file (Keras); only files of PyTorch and safetensors are imported"),
)


def read_checkpoint(path: str | Path, admitted: Sequence[tuple[Any, str]] = ()) -> Any:
    """Content of a safetensors file or of one that `torch.save` wrote (any version), on the CPU; told by its content.

    Only tensors, plain containers and numbers are made, plus the `admitted` classes; nothing in the file is executed.
    A zip's checksums are compared. Files of older PyTorch and safetensors have none: bits that changed inside their
    numbers cannot be seen unless a number stops being finite.

    Raises:
        CheckpointError: missing, damaged, something else, or in need of more than that; the text says what to do.
    """
    path = Path(path)
    start = beginning(path)
    if start[8:9] == b"{":
        from safetensors.torch import load_file

        try:
            return load_file(str(path))
        except Exception as error:  # of a foreign file in a foreign library: whatever it is, it is about the file
            raise CheckpointError(
                f"{path} is no readable safetensors file, or a damaged one: {first_line(error)}"
            ) from error
    if start.startswith(b"PK"):
        check_archive(path)
    elif path.suffix == ".safetensors":
        raise CheckpointError(f"{path} is no safetensors file: its first bytes are {start[:8]!r}")
    try:
        # As a stream: of a path, torch looks at the suffix first.
        with torch.serialization.safe_globals([*NUMBERS, *admitted]), path.open("rb") as stream:
            return torch.load(stream, map_location="cpu", weights_only=True)
    except Exception as error:
        if isinstance(error, pickle.UnpicklingError) and (names := _named_globals(str(error))):
            raise CheckpointError(
                f"{path} was refused: it holds {names}, and making such objects can run code from the file. If you "
                "trust its author, convert it once in a separate environment: load it there with torch.load(file, "
                "weights_only=False), save only the tensors with safetensors.torch.save_file(state_dict, "
                "'weights.safetensors'), and import that file"
            ) from error
        raise CheckpointError(
            f"{path} is no checkpoint, or a damaged one: {first_line(error)}; fetch it again and compare its length "
            "with the source's"
        ) from error


def beginning(path: Path) -> bytes:
    """The first bytes of a file of weights.

    Raises:
        CheckpointError: it is missing, empty, or by its first bytes something else.
    """
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}" + (", which is a folder" if path.is_dir() else ""))
    try:
        with path.open("rb") as stream:
            start = stream.read(512)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {why(error)}") from error
    if not start:
        raise CheckpointError(f"{path} is empty; fetch it again")
    for pattern, what in FIRST_BYTES:
        if pattern.match(start):
            raise CheckpointError(f"{path} is {what}")
    # What `torch.save` and safetensors write begins with bytes that no text has.
    if re.fullmatch(rb"[\t\n\r -~\x80-\xff]+", start):
        told = start.decode("utf-8", "replace").strip()[:60]
        raise CheckpointError(f"{path} is a text file that begins with {told!r}, not a checkpoint: fetch it again")
    return start


def first_line(error: Exception) -> str:
    """What an error says, without torch's advice to load without its protection: the wrong thing for a damaged file."""
    found = re.search(r"WeightsUnpickler error: *([^\n]+)", str(error))
    lines = [found[1]] if found else [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].split("Please file")[0].split("In PyTorch 2.6")[0].strip()[:200] if lines else type(error).__name__


def state_dict_of(content: Any, under: Sequence[str], path: str | Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint: below the first key of `under` that is there, or at the top.

    Raises:
        CheckpointError: there are no tensors.
    """
    found = content
    if isinstance(content, Mapping):
        found = next((content[key] for key in under if isinstance(content.get(key), Mapping)), content)
    if not isinstance(found, Mapping):
        raise CheckpointError(f"{path} holds a {type(found).__name__}, not a dictionary of tensors")
    tensors = {str(key): value for key, value in found.items() if isinstance(value, Tensor)}
    if not tensors:
        where = ", ".join(under) or "its top"
        raise CheckpointError(f"{path} holds no tensors under {where}; its keys are: {listed(list(found), 10)}")
    others = [
        str(key)
        for key, value in (content if isinstance(content, Mapping) else {}).items()
        if value is not found and isinstance(value, Mapping) and any(isinstance(v, Tensor) for v in value.values())
    ]
    if others:
        # Averages of the weights (EMA), a discriminator: which of them is the model, only its author knows.
        logging.getLogger(__name__).warning("%s holds more tensors, which are not taken: %s", path, ", ".join(others))
    odd = [
        key for key, value in tensors.items() if value.is_meta or value.is_quantized or value.layout != torch.strided
    ]
    if odd:
        raise CheckpointError(
            f"{path}: {odd[0]} (and {len(odd) - 1} more) has no plain numbers: it is quantized, sparse or of the "
            "`meta` device; save the network's state_dict in float32"
        )
    return tensors


def without_prefix(state: Mapping[str, Tensor], *prefixes: str) -> dict[str, Tensor]:
    """Each prefix in turn is cut off where every key has it: what DataParallel, torch.compile and wrappers add."""
    for prefix in ("_orig_mod.", *prefixes, "_orig_mod."):
        if state and all(key.startswith(prefix) for key in state):
            state = {key[len(prefix) :]: value for key, value in state.items()}
    return dict(state)


def _named_globals(message: str) -> str:
    """Class names out of torch's refusal ("… Unsupported global: GLOBAL easydict.EasyDict was not …")."""
    return ", ".join(dict.fromkeys(re.findall(r"GLOBAL ([\w.]+[\w])", message)))


def check_archive(path: Path) -> None:
    """Compare every member of a zip with its checksum; files that are none pass.

    Raises:
        CheckpointError: it is cut short, or a member is damaged; torch reads such members without a word.
    """
    try:
        with path.open("rb") as stream:
            if stream.read(2) != b"PK":
                return
        with zipfile.ZipFile(path) as archive:
            names = [entry.filename for entry in archive.infolist()]
            if not any(name.endswith("/data.pkl") for name in names):
                raise CheckpointError(
                    f"{path} is a zip that `torch.save` did not write ({listed(names, 5)}); give the file inside"
                )
            if any(name.endswith("/constants.pkl") for name in names):
                raise CheckpointError(
                    f"{path} is a TorchScript program; its tensors are wanted: torch.save(torch.jit.load(file)"
                    ".state_dict(), 'weights.pth'), where you trust its author"
                )
            members = [entry for entry in archive.infolist() if entry.file_size]
            # One bit of the attributes says "folder"; torch then reads nothing and leaves the memory as it was.
            if folders := [entry.filename for entry in members if entry.external_attr & 0x10]:
                raise CheckpointError(f"{path} is damaged: {folders[0]} in it is marked as a folder; fetch it again")
            # torch.serialization.set_crc32_options(False) leaves them all out.
            damaged = archive.testzip() if any(entry.CRC for entry in members) else None
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise CheckpointError(f"{path} is damaged or cut short ({why(error)}); fetch it again") from error
    if damaged is not None:
        raise CheckpointError(f"{path} is damaged: the checksum of {damaged} in it is wrong; fetch it again")
