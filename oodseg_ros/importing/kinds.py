"""The kinds of files that can be imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from ..bundle import Bundle
from ..errors import ConfigError
from ..model_card import name_from
from ..networks.build import SCORES_WITHOUT_HEAD
from ..sources.image_files import read_image
from ..sources.open_source import open_source
from .checkpoint import EASY_DICT, read_checkpoint, state_dict_of
from .class_names import chosen_label_set
from .fitted import FITTED
from .imported import Imported, write_bundle


class Kind(NamedTuple):
    """Module of this room, keys under which its files hold their tensors, and classes that these may hold besides.

    Without keys its `read` takes the path; else `interpret` gets the tensors.
    """

    module: str
    under: tuple[str, ...] = ()
    admitted: tuple[tuple[Any, str], ...] = ()


KINDS = {
    "uem": Kind("uem", ("state_dict",), (EASY_DICT,)),
    "rpl": Kind("rpl", ("model", "model_state", "state_dict")),
    "multishiftseg": Kind("multishiftseg", ("state_dict", "model", "model_state")),
    "segformer-mmseg": Kind("segformer_mmseg"),
    "espnetv2": Kind("espnetv2", ("state_dict",)),
    "erfnet": Kind("erfnet", ("state_dict",)),
    "hf": Kind("hf"),
}


def read_imported(
    kind: str, files: Sequence[str | Path], preprocessing: str | None = None, resize: str | None = None
) -> Imported:
    """Read a released file in this project's terms; `preprocessing` and `resize` are `hf`'s (`hf.read`).

    Raises:
        ConfigError: unknown kind, another number of files than it takes, or an option that this kind does not have.
        CheckpointError: the file cannot be read safely or is of another kind.
    """
    if kind not in KINDS:
        raise ConfigError(f"unknown kind {kind!r}; this version imports {', '.join(KINDS)}")
    if len(files) != 1:
        raise ConfigError(f"kind {kind} takes one file or folder, got {len(files)}")
    options = {"preprocessing": preprocessing, "resize": resize}
    options = {key: value for key, value in options.items() if value is not None}
    if options and kind != "hf":
        raise ConfigError(f"--{next(iter(options))} is for kind hf; what {kind} files expect is known")
    path, known = Path(files[0]).expanduser(), KINDS[kind]
    module = import_module(f"{__package__}.{known.module}")
    if not known.under:
        return module.read(path, **options)
    return module.interpret(state_dict_of(read_checkpoint(path, known.admitted), known.under, path), path)


def import_bundle(
    kind: str,
    files: Sequence[str | Path],
    out: str | Path,
    score: str | None = None,
    labels: str | None = None,
    fit: str | Path | None = None,
    stride: int | None = None,
    preprocessing: str | None = None,
    resize: str | None = None,
    proof: str | Path | None = None,
) -> tuple[Bundle, Imported]:
    """Turn a released file into a verified bundle at `out`.

    Args:
        kind: one of `KINDS`.
        out: folder of the bundle; its name becomes the bundle's.
        score: a post-hoc or fitted score to use instead of the file's own; the file's head is then left out.
        labels: name or file of the label set, where the file's own is not known; `class_names.FROM_FILE` = its names.
        stride: distance of the sliding windows in pixels, both ways, for networks that have windows.
        fit: bag, video or images without unknowns, for the scores that are fitted.
        preprocessing, resize: see `hf.read`.
        proof: picture to compare with the authors' own code on, where that is at hand (hf); None = a procedural scene.

    Raises:
        ConfigError, CheckpointError, BundleError: with what is wrong and what to do.
    """
    name_from(Path(out))  # before a large file is read
    imported = read_imported(kind, files, preprocessing, resize)
    if score is not None and score != imported.network["score"]:
        imported = _with_score(imported, score)
    if stride is not None:
        imported = _with_stride(imported, stride)
    if (imported.network["score"] in FITTED) != (fit is not None):
        raise ConfigError(
            f"score {score} is fitted on frames without unknowns: name them with --fit"
            if fit is None
            else f"only the scores {', '.join(FITTED)} are fitted on frames, not {imported.network['score']}"
        )
    frames = None if fit is None else (frame.image for frame in open_source(fit))
    with TemporaryDirectory() as folder:
        chosen, notes = chosen_label_set(labels, imported.label_set, imported.names, str(files[0]), Path(folder))
        imported = replace(imported, label_set=chosen, notes=(*imported.notes, *notes))
        picture = None if proof is None else read_image(Path(proof))
        return write_bundle(imported, out, str(files[0]), frames, picture), imported


def _with_stride(imported: Imported, stride: int) -> Imported:
    windows = imported.input.windows
    if windows is None:
        raise ConfigError("this network runs on the whole frame; a stride is for those with sliding windows (uem)")
    if not 0 < stride <= min(windows.height, windows.width):
        raise ConfigError(f"a stride of {stride} leaves pixels out: windows are {windows.width}x{windows.height}")
    changed = windows.model_copy(update={"stride_y": stride, "stride_x": stride})
    return replace(imported, input=imported.input.model_copy(update={"windows": changed}))


def _with_score(imported: Imported, score: str) -> Imported:
    known = (*SCORES_WITHOUT_HEAD, *FITTED)
    if score not in known:
        raise ConfigError(f"score {score!r} is not one that every network can have: {', '.join(known)}")
    dropped = tuple(key for key in imported.state if key.startswith("head."))
    return replace(
        imported,
        network=imported.network | {"head": {"name": score} if score in FITTED else None, "score": score},
        state={key: value for key, value in imported.state.items() if key not in dropped},
        ignored=imported.ignored + dropped,
    )
