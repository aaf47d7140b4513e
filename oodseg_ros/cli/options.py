"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print problems only.")]

BundleName = Annotated[str, typer.Argument(help="Bundle: a folder, or the name of a shipped one.")]
EngineName = Annotated[
    str | None, typer.Option(help="Inference engine (docs/engines.md has them); default: the device's own.")
]
Device = Annotated[str, typer.Option(help="cpu or cuda[:N].")]
Precision = Annotated[str, typer.Option(help="fp32, or one that was built: fp16, bf16, int8.")]
Threads = Annotated[int, typer.Option(min=0, help="CPU threads of the network; 0 = the engine's default.")]
Labels = Annotated[str | None, typer.Option(help="For `folder`: label set of class-id labels.")]
Unknown = Annotated[
    int | None, typer.Option(min=0, max=254, help="With --labels: the value that marks unknown objects, e.g. 254.")
]
Split = Annotated[str | None, typer.Option(help="Split of the dataset; default: the one with ground truth.")]
FirstFrames = Annotated[int | None, typer.Option(min=1, help="Only the first frames.")]
Threshold = Annotated[float | None, typer.Option(help="Raw score threshold; default: the bundle's.")]
CameraHeight = Annotated[
    float | None,
    typer.Option(help="Metres above the road; with --camera-pitch and --fov in place of a calibration."),
]
CameraPitch = Annotated[float, typer.Option(help="Degrees, positive looks down.")]
FieldOfView = Annotated[float, typer.Option(min=5, max=170, help="Horizontal field of view in degrees.")]
MinArea = Annotated[int, typer.Option(min=1, help="Least area of an obstacle in pixels.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the results of an earlier run in OUT.")]
Input = Annotated[str, typer.Argument(help="Bag, video, image, folder of images, or scenes[:SEED].")]
Topics = Annotated[list[str] | None, typer.Option(help="Image topic of a bag; repeat for several.")]
Params = Annotated[Path | None, typer.Option(help="Parameter file of the node; options below go before it.")]
OwnMinArea = Annotated[int | None, typer.Option(min=1, help="Least area of an obstacle in pixels.")]
OwnDevice = Annotated[str | None, typer.Option(help="cpu or cuda[:N]; default: cpu.")]
OwnPrecision = Annotated[str | None, typer.Option(help="fp32, or one that was built: fp16, bf16, int8.")]
OwnThreads = Annotated[int | None, typer.Option(min=0, help="CPU threads; 0 = the engine's default.")]
EgoMask = Annotated[Path | None, typer.Option(help="Image, white on the own vehicle: not judged.")]
BundleOut = Annotated[Path | None, typer.Option(help="Write a copy of the bundle here; default: into the bundle.")]
Key = Annotated[Path | None, typer.Option(help="Private key: sign the bundle again with it.")]
Confidence = Annotated[
    float | None, typer.Option(help="E.g. 0.9: the bounds hold with this probability; default: in expectation.")
]
