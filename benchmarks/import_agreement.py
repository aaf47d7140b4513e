"""How imported transformers networks answer compared with transformers itself, on frames of one's own.

    python test/importing/small_networks.py out/small_networks    # or directories of real networks
    python benchmarks/import_agreement.py out/small_networks/* --frames FOLDER --most 4

Every directory is imported as `oodseg import hf` does; per frame the labels and class maps are compared with those of
transformers' own preprocessing, network and post-processing. Prints a table of the worst frame.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from oodseg_ros.errors import UserError
from oodseg_ros.importing import hf, imported
from oodseg_ros.sources.image_files import read_image


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directories", type=Path, nargs="+")
    parser.add_argument("--frames", type=Path, required=True, help="folder of images")
    parser.add_argument("--most", type=int, default=4, help="of them, evenly spread")
    parser.add_argument("--resize", choices=hf.RESIZES, default="keep")
    given = parser.parse_args()
    torch.set_num_threads(1)
    # Nothing is refused here: the figure is what is wanted.
    imported.AGREEING_LABELS, imported.AGREEING_RESIZED, imported.MAPS_OFF = 0.0, 0.0, float("inf")
    files = sorted(file for file in given.frames.iterdir() if file.suffix.lower() in (".jpg", ".png"))
    frames = [read_image(file) for file in files[:: max(1, len(files) // given.most)][: given.most]]
    print(f"{len(frames)} frames of {given.frames.name}")
    print("| network | becomes | compared at | equal labels | maps off |")
    print("|---|---|---|---|---|")
    for directory in given.directories:
        try:
            found = hf.read([directory], resize=given.resize)
            segmentor = imported.build_checked(found, str(directory))
            measured = [imported.agreement(found, segmentor, str(directory), frame) for frame in frames]
        except UserError as error:
            print(f"| {directory.name} | refused: {error} | | | |")
            continue
        size = measured[0]["on"].rsplit(" ", 1)[1]
        labels, off = min(one["labels"] for one in measured), max(one["maps_off"] for one in measured)
        name = found.network["backbone"]["name"]
        print(f"| {directory.name} | {name} | {size} | {100 * labels:.2f} % | {off:.1g} |", flush=True)


if __name__ == "__main__":
    main()
