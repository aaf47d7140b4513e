"""What a transformers image processor does to a picture, as a bundle's `InputSpec`; what that cannot say is refused."""

from __future__ import annotations

from collections.abc import Mapping
from math import lcm
from typing import Any

from ..errors import CheckpointError
from ..model_card import InputSpec, Resize, Windows
from .imported import FULL_SIZE

FILTERS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
"""Pillow's filters by number."""
CARRIED = {
    "do_resize",
    "size",
    "resample",
    "do_center_crop",
    "crop_size",
    "do_rescale",
    "rescale_factor",
    "do_normalize",
}
CARRIED |= {"image_mean", "image_std", "do_flip_channel_order", "do_split_image", "do_pad", "size_divisor"}
CARRIED |= {"ensure_multiple_of", "keep_aspect_ratio"}
# Of labels, batches, types and training; nothing of a picture at inference depends on them.
WITHOUT_EFFECT = {
    "do_reduce_labels",
    "reduce_labels",
    "ignore_index",
    "num_labels",
    "image_processor_type",
    "default_to_square",
}
WITHOUT_EFFECT |= {"feature_extractor_type", "processor_class", "do_convert_rgb", "do_convert_annotations", "format"}
WITHOUT_EFFECT |= {"data_format", "input_data_format", "return_tensors", "device", "disable_grouping", "use_fast"}
WITHOUT_EFFECT |= {
    "class_info_file",
    "metadata",
    "num_text",
    "repo_path",
    "max_seq_length",
    "task_seq_length",
    "max_size",
    "backend",
}
MULTIPLE = 32


def input_spec(
    options: Mapping[str, Any], exact: bool, own_size: int | None, padded: bool, where: str, forced: bool = False
) -> tuple[InputSpec, list[str]]:
    """The input of the bundle, and sentences on what was decided.

    Args:
        options: the processor's, as `to_dict()` gives them.
        exact: size every image as the processor does; otherwise images keep their size up to the processor's number of
            pixels.
        own_size: side of the only square that the network takes and sees a wide picture through in windows (EoMT).
        padded: the processor fills sides up to a multiple of 32 (networks with queries).
        where: named in errors.
        forced: `exact`, since the network takes no other size.

    Raises:
        CheckpointError: an option that is not carried, or a value that is none.
    """
    given = {key: value for key, value in options.items() if value not in (None, False, {}, [])}
    if unknown := sorted(set(given) - CARRIED - WITHOUT_EFFECT):
        said = ", ".join(f"{key}: {given[key]!r:.60}" for key in unknown)
        raise CheckpointError(
            f"{where}: the preprocessing has options that a bundle cannot carry out ({said}); "
            "if they change nothing at inference, take them out of preprocessor_config.json and import again"
        )
    for key, kinds, what in (
        ("rescale_factor", (int, float), "a number"),
        ("size_divisor", (int,), "a whole number"),
        ("ensure_multiple_of", (int,), "a whole number"),
    ):
        if key in given and not isinstance(given[key], kinds):
            raise CheckpointError(f"{where}: {key} is {given[key]!r:.60}, and {what} is needed")
    mean, std = normalisation(given, where)
    notes = []
    if given.get("do_center_crop"):
        notes.append("its center crop is left out: the whole frame is judged")
    size = dict(given.get("size") or {}) if given.get("do_resize") else {}
    size = {key: value for key, value in size.items() if value}
    if size and set(size) not in ({"height", "width"}, {"shortest_edge"}, {"shortest_edge", "longest_edge"}):
        raise CheckpointError(f"{where}: size {size} is neither height and width nor a shortest edge")
    if bad := {key: value for key, value in size.items() if not isinstance(value, int) or value < 1}:
        raise CheckpointError(f"{where}: size {bad} of preprocessor_config.json is no whole number of pixels")
    divisor = int(given.get("size_divisor") or 1)
    base = {"mean": mean, "std": std, "channel_order": "bgr" if given.get("do_flip_channel_order") else "rgb"}
    base |= {"pixels": size["height"] * size["width"] if "height" in size else FULL_SIZE}
    kept = InputSpec(**base, multiple=lcm(MULTIPLE, divisor, int(given.get("ensure_multiple_of") or 1)))
    if own_size is not None:
        if given.get("do_pad"):
            raise CheckpointError(f"{where}: do_pad fills pictures up to a square, which a bundle cannot carry out")
        windows = Windows(height=own_size, width=own_size, stride_y=own_size, stride_x=own_size, even=True)
        rule = Resize(shortest_edge=own_size, filter=_filter(given, where))
        notes.append(f"runs in windows of {own_size}x{own_size} at that height, as its semantic networks do")
        return InputSpec(**base, multiple=1, resize=rule, windows=windows), notes
    if not exact:
        return kept, notes
    if not size:
        raise CheckpointError(f"{where}: its preprocessing does not resize, so there is no size to follow")
    for key in ("keep_aspect_ratio", "do_pad") if not padded else ("keep_aspect_ratio",):
        if given.get(key):
            raise CheckpointError(
                f"{where}: {key} is not carried out where frames are brought to a processor's sizes; "
                + (
                    f"this network takes one size only, so take {key} out of preprocessor_config.json (every frame is "
                    f"then squeezed into {size}) and import again"
                    if forced
                    else "import without --resize, and frames keep their aspect"
                )
            )
    return InputSpec(
        **base,
        multiple=MULTIPLE if padded else int(given.get("ensure_multiple_of") or 1),
        resize=Resize(**size, filter=_filter(given, where)),
    ), notes


def normalisation(given: Mapping[str, Any], where: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std of values in [0, 1] that do what rescaling and normalisation do together.

    Raises:
        CheckpointError: they are not three numbers each (or one for all), or a divisor is not above 0.
    """
    factor = float(given["rescale_factor"]) if given.get("do_rescale") and "rescale_factor" in given else 1.0
    if given.get("do_rescale") and "rescale_factor" not in given:
        raise CheckpointError(f"{where}: do_rescale without rescale_factor")
    mean, std = [0.0] * 3, [1.0] * 3
    if given.get("do_normalize"):
        mean, std = (_three(options, where) for options in ((given, "image_mean"), (given, "image_std")))
    spread = 255.0 * factor
    if not spread > 0 or min(std) <= 0:
        raise CheckpointError(f"{where}: rescale_factor {factor:g} or image_std {std} is not above 0")
    return tuple(m / spread for m in mean), tuple(s / spread for s in std)


def _three(source: tuple[Mapping[str, Any], str], where: str) -> list[float]:
    options, key = source
    value = options.get(key)
    values = [value] * 3 if isinstance(value, (int, float)) else list(value or [])
    if len(values) != 3 or not all(isinstance(number, (int, float)) for number in values):
        raise CheckpointError(f"{where}: {key} is {value!r}, and three numbers are needed")
    return [float(number) for number in values]


def _filter(given: Mapping[str, Any], where: str) -> str:
    number = given.get("resample", 0)  # nearest is 0, which counts as not given above
    if not isinstance(number, int) or not 0 <= number < len(FILTERS):
        raise CheckpointError(f"{where}: resample {number!r} is none of Pillow's filters")
    return FILTERS[number]
