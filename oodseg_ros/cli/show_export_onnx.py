"""What `oodseg export-onnx` does and prints."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from ..building.onnx_export import export_bundle
from ..bundle import load_bundle
from ..datasets.dataset import read_rgb
from ..inference.sizes import parse_size


def export_and_show(bundle: str, size: str, batch: int, precision: str, out: Path, image: Path | None) -> None:
    """Export, check, print where the file is and how far it is from torch."""
    height, width = parse_size(size)
    console = Console()
    with console.status(f"exporting {bundle} at {width}x{height}, {precision}"):
        export = export_bundle(
            load_bundle(bundle), height, width, batch, out, precision, None if image is None else read_rgb(image)
        )
    console.print(
        f"{escape(str(out))}  {export.bytes / 1e6:.1f} MB, opset {export.opset}: uint8 images "
        f"[{batch}, {height}, {width}, 3] → uint8 labels, float32 score",
        highlight=False,
        soft_wrap=True,
    )
    console.print(
        f"ONNX Runtime against torch in FP32 on {escape(str(image) if image else 'the golden frame')}: max |Δscore| "
        f"{export.max_abs_delta:.3g}, labels agree on {export.label_agreement:.2%}",
        highlight=False,
        soft_wrap=True,
    )
