"""Score maps as SegmentMeIfYouCan wants them: one HDF5 file per frame, dataset `value`, float16 `[H, W]`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import ConfigError
from ..extras import advice
from .score_store import ScoreStore

LARGEST = 65504.0
"""Largest finite float16."""


def write_submission(store: ScoreStore, names: dict[str, str], folder: Path) -> int:
    """Write `folder/<frame id>.hdf5` for every stored frame, those without ground truth too.

    Scores are clipped to the range of float16, NaN (not judged) becomes the lowest score of the frame.

    Args:
        store: of a run that is not cleaned up yet.
        names: name in the store → the dataset's frame id.
        folder: made if absent.

    Returns:
        The number of frames.

    Raises:
        ConfigError: h5py is not installed.
    """
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise ConfigError(f"the submission format: {advice(error.name)}") from error
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for name, frame_id in names.items():
        if name not in store:
            continue
        score, _, _ = store.get(name)
        lowest = score[~np.isnan(score)].min(initial=0.0)
        value = np.clip(np.nan_to_num(score, nan=lowest, posinf=LARGEST, neginf=-LARGEST), -LARGEST, LARGEST)
        file = folder / f"{frame_id}.hdf5"
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f".{file.name}.part")
        with h5py.File(part, "w") as stream:
            stream.create_dataset("value", data=value.astype(np.float16), compression="gzip", compression_opts=3)
        part.replace(file)
        count += 1
    return count
