"""The report of one evaluation: one HTML page that can be mailed, read on a phone and printed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from ...datasets.dataset import Dataset
from ...errors import UserError
from ...paths import completed
from ...pipeline.obstacles.objects import find_objects
from ..evaluate import Evaluation
from ..metrics import recall
from ..metrics.components import TRACKS
from . import figures as report_figures
from . import html
from .figures import choose, draw_classes, draw_frame

RULE_NOTES = {
    "exact": "pooled over all frames, raw scores, FPR95 at the first recall ≥ 0.95",
    "nearest_recall": "as published by RPL, PEBAL, MultiShiftSeg, CAOS: FPR at the recall nearest to 0.95",
    "smiyc": "SegmentMeIfYouCan's binning of float16 scores",
}
THRESHOLDS = {
    "component": "best pixel F1",
    "component_smiyc": "best pixel F1 by SegmentMeIfYouCan's binning, float16",
    "component_deployed": "the bundle's own",
}
SEMANTIC_NOTE = "Right or below: errors in red."
ANOMALY_NOTE = (
    "Green: true anomaly. Cyan: scores above that of the best pixel F1. Magenta: objects at the bundle's own."
)
BEST, WORST = 4, 8


def write_report(evaluation: Evaluation, dataset: Dataset, path: Path) -> None:
    """Write the page.

    Args:
        evaluation: while its score maps are still there.
        dataset: to read the frames that are shown.
    """
    metrics = evaluation.metrics
    parts = [_headline(metrics), _notes(metrics)]
    if evaluation.curves is not None:
        parts += _anomaly_sections(evaluation)
    if evaluation.figures.semantic is not None:
        parts += _semantic_sections(evaluation)
    if "vehicle" in metrics:
        parts.append(_vehicle_section(metrics["vehicle"]))
    parts += [_frames_section(evaluation, dataset), _latency_section(evaluation)]
    parts.append(html.section("Provenance", html.pairs(metrics["provenance"].items())))
    title = f"{metrics['bundle']} on {metrics['dataset']['name']}"
    subtitle = f"{metrics['frames']} frames, score: {score_name(metrics)}, engine: {metrics['engine']}"
    with completed(path) as part:
        part.write_text(html.page(title, parts, subtitle, f"made in {metrics['seconds']:.0f} s by: oodseg evaluate"))


def score_name(metrics: dict[str, Any]) -> str:
    """`mean_standardized, coherence 0.7`: the kind of score, and how coherent it is where it is."""
    return str(metrics["score"]) + (f", coherence {metrics['coherence']:g}" if metrics["coherence"] else "")


def number(value: float | None) -> str:
    """`0.12`, or a dash where there is no figure."""
    return "–" if value is None or math.isnan(value) else f"{value:.2f}"


def percent(value: float | None, digits: int = 2) -> str:
    """`51.23`, or a dash where there is no figure."""
    return "–" if value is None or math.isnan(value) else f"{100 * value:.{digits}f}"


def _headline(metrics: dict[str, Any]) -> html.Html:
    if "pixel" not in metrics:
        found = metrics["semantic"]
        items = [(name, percent(found[name]), "%") for name in ("mIoU", "mAcc", "pixel_accuracy")]
    else:
        pixel, component = metrics["pixel"], metrics["component"]
        items = [(name, percent(pixel[name]), "%, pooled pixels") for name in ("AP", "AUROC", "FPR95")]
        items.append(("best F1", percent(pixel["best_F1"]), f"%, scores above {pixel['best_F1_threshold']:.4g}"))
        small = f"%, {component['track']} track"
        items += [
            (name, percent(component[key]), small)
            for name, key in (("sIoU", "sIoU"), ("PPV", "PPV"), ("mean F1", "F1"))
        ]
    latency = metrics["latency_ms"]
    items.append(("latency", f"{latency['p50']:.0f} ms", f"median; 95 %: {latency['p95']:.0f} ms"))
    return html.cards(items)


def _notes(metrics: dict[str, Any]) -> html.Html:
    lines = [html.Html(f'<p class="note">{html.text(note)}</p>') for note in metrics["notes"]]
    if metrics["skipped"]:
        rows = list(metrics["skipped"].items())
        lines.append(html.details(f"{len(rows)} frames are not in the figures", html.table(["frame", "why"], rows)))
    return html.join(lines)


def _anomaly_sections(evaluation: Evaluation) -> list[html.Html]:
    metrics, curves, histogram = evaluation.metrics, evaluation.curves, evaluation.figures.pixel.histogram
    pixel, rules = metrics["pixel"], metrics["pixel_rules"]
    rows = []
    for rule, found in (
        ("exact", pixel),
        ("nearest_recall", {**pixel, **rules["nearest_recall"]}),
        ("smiyc", rules["smiyc"]),
    ):
        figures = [percent(found[key]) for key in ("AP", "AUROC", "FPR95", "best_F1")]
        rows.append([rule, *figures, RULE_NOTES[rule]])
    average = metrics["per_image_average"]
    if average:
        figures = [percent(average.get(key)) for key in ("AP", "AUROC", "FPR95", "best_F1")]
        rows.append(
            ["average of images", *figures, f"{average['frames']} frames with anomaly; not comparable to pooled"]
        )
    totals = f"{pixel['positives']:,} anomalous, {pixel['negatives']:,} normal, {pixel['void']:,} void pixels"
    sections = [
        html.section(
            "Pixel metrics in %", html.table(["rule", "AP", "AUROC", "FPR95", "best F1", ""], rows), note=totals
        )
    ]
    if not pixel["positives"]:
        return sections
    thresholds = {"best F1": pixel["best_F1_threshold"], "95 % recall": pixel["FPR95_threshold"]}
    if "component_deployed" in metrics:
        thresholds["bundle's threshold"] = metrics["component_deployed"]["threshold"]
    name = score_name(metrics)
    prevalence = pixel["positives"] / (pixel["positives"] + pixel["negatives"])
    figures = [
        html.figure(report_figures.pr_plot({name: curves.curve}, prevalence), "Precision and recall"),
        html.figure(report_figures.roc_plot({name: curves.curve}), "Recall and false-positive rate"),
        html.figure(report_figures.score_plot(histogram, thresholds), "Scores of normal and of anomalous pixels"),
    ]
    sections.append(html.section("Curves", html.gallery(figures, 380)))
    sections.append(_component_section(evaluation))
    return sections


def _component_section(evaluation: Evaluation) -> html.Html:
    metrics, rows = evaluation.metrics, []
    for key, what in THRESHOLDS.items():
        if key in metrics:
            found = metrics[key]
            counts = [found["truth_components"], found["predicted_components"]]
            figures = [percent(found[name]) for name in ("sIoU", "PPV", "F1")]
            rows.append([what, f"{found['threshold']:.4g}", *figures, *counts])
    columns = ["threshold", "raw score", "sIoU", "PPV", "mean F1", "objects", "predicted"]
    parts = [html.table(columns, rows)]
    sizes = recall.by_size(evaluation.components)
    if sizes:
        feet = recall.by_foot(evaluation.components, [row["height"] for row in evaluation.figures.rows])
        label = "lowest pixel, % of the image height (far to near on a flat road)"
        figures = [
            html.figure(report_figures.size_plot(sizes), "Objects by size"),
            html.figure(report_figures.size_plot(feet, label), "Objects by the row of their foot"),
        ]
        if distances := metrics["component"].get("recall_by_distance"):
            label = "metres to the foot, on a flat road"
            figures.append(html.figure(report_figures.size_plot(distances, label), "Objects by distance"))
        table = [[name, count, percent(found, 1), percent(covered, 1)] for name, count, found, covered in sizes]
        columns = ["size in pixels", "objects", "found %", "covered %"]
        if deployed := metrics.get("component_deployed", {}).get("recall_by_size"):
            columns.append("found % at the bundle's threshold")
            for line, (_, _, found, _) in zip(table, deployed, strict=True):
                line.append(percent(found, 1))
        parts += [html.gallery(figures, 380), html.table(columns, table)]
    note = f"{metrics['component']['track']} track; in %, pooled over all objects of the dataset"
    return html.section("Objects", *parts, note=note)


def _vehicle_section(found: dict[str, Any]) -> html.Html:
    rule, parts = found["rule"], []
    how = f"threshold {found['threshold']:.4g}"
    if rule is not None:
        among = found["threshold"] if rule["among"] is None else rule["among"]
        how += f" for {rule['seed']:.0%} of an object's pixels, among other things {among:.4g}, beside the ground "
        how += f"{rule['beside']:.4g}"
        how += f"; an object is what hangs together above {rule['grow']:.4g}"
    rows = [
        ["objects found", f"{percent(found['found'], 1)} % of {found['objects']}"],
        ["predicted objects per touched object of 1600 pixels or more", number(found["fragments_per_object"])],
    ]
    for place, what in (("on_ground", "standing on the ground"), ("beside", "beside it")):
        share = percent(found[f"frames_with_false_{place}"], 1)
        rows.append(
            [
                f"false objects per frame, {what}",
                f"{number(found[f'false_{place}_per_frame'])}; {share} % of the frames",
            ]
        )
    parts.append(html.table(["", ""], rows))
    for key, title in (("found_by_size", "size in pixels"), ("found_by_distance", "distance")):
        if found.get(key):
            lines = [[name, count, percent(share, 1), percent(cover, 1)] for name, count, share, cover in found[key]]
            parts.append(html.table([title, "objects", "found %", "covered %"], lines))
    if out := found["frames_not_judged"]:
        how += f"; false objects are of the {found['frames'] - out} frames with a judged pixel, {out} left out"
    note = f"{how}; objects of {found['min_area']} pixels or more, as the node makes them; found: sIoU ≥ 0.25"
    return html.section("What a vehicle gets", *parts, note=note)


def _semantic_sections(evaluation: Evaluation) -> list[html.Html]:
    found, matrix = evaluation.metrics["semantic"], evaluation.figures.semantic.matrix
    names = list(found["IoU"])
    table = html.table(["class", "IoU %"], [[name, percent(value)] for name, value in found["IoU"].items()])
    figure = html.figure(report_figures.confusion_plot(matrix, names), "Where pixels of each class go")
    return [html.section("Classes", html.gallery([table, figure], 380))]


def _frames_section(evaluation: Evaluation, dataset: Dataset) -> html.Html:
    rows, semantic = evaluation.figures.rows, evaluation.curves is None
    key = "pixel_accuracy" if semantic else "AP"
    best, worst = choose(rows, key, BEST, WORST)
    parts = []
    limits = (0.0, 1.0) if semantic else _limits(evaluation)
    for heading, chosen in (("Worst first", worst), ("Best first", best)):
        figures = [_frame(evaluation, dataset, rows[i], key, limits) for i in chosen]
        if figures:
            parts += [html.Html(f"<h3>{heading}</h3>"), html.gallery(figures, 420)]
    if not parts:
        return html.Html("")
    note = f"by {'pixel accuracy' if semantic else 'AP'} of the frame; click to enlarge. "
    note += SEMANTIC_NOTE if semantic else ANOMALY_NOTE
    return html.section("Frames", *parts, note=note)


def _frame(evaluation: Evaluation, dataset: Dataset, row: dict, key: str, limits: tuple) -> html.Html:
    name = row["frame"]
    caption = f"{name}: {key.replace('_', ' ')} {percent(row[key], 1)} %"
    try:
        image, _ = dataset.load(evaluation.work[name].item)
    except UserError as error:
        return html.Html(f"<p>{html.text(caption)}: {html.text(error)}</p>")
    score, label, extra = evaluation.store.get(name)
    if evaluation.curves is None:
        classes = evaluation.classes
        predicted, truth = classes.predicted[extra["labels"]], classes.truth[label]
        drawn = draw_classes(image, predicted, truth, classes.labels.palette())
    else:
        best, objects = evaluation.metrics["pixel"]["best_F1_threshold"], None
        if (calibration := evaluation.calibration) is not None:
            rule = (calibration.threshold, calibration.objects, TRACKS["vehicle"].predicted, 1)
            objects = find_objects(evaluation.own.get(name)[0], extra["labels"], *rule)[2]
        drawn = draw_frame(image, score, label, best, limits, objects)
    return html.figure(html.image_uri(drawn, quality=80, max_width=1280), caption)


def _limits(evaluation: Evaluation) -> tuple[float, float]:
    """Raw scores at the 50 % and the 99.9 % quantile of all judged pixels, for the heat maps."""
    total, seen, high, low = sum(evaluation.figures.pixel.totals), 0, math.nan, math.nan
    for scores, negatives, positives in evaluation.figures.pixel.histogram.descending():
        count = seen + np.cumsum(negatives + positives)
        if math.isnan(high) and count[-1] >= 0.001 * total:
            high = float(scores[np.searchsorted(count, 0.001 * total)])
        if math.isnan(low) and count[-1] >= 0.5 * total:
            low = float(scores[np.searchsorted(count, 0.5 * total)])
        seen = int(count[-1])
    finite = np.nan_to_num([low, high], posinf=1e30, neginf=-1e30)
    return float(finite[0]), float(finite[1])


def _latency_section(evaluation: Evaluation) -> html.Html:
    values = [row["milliseconds"] for row in evaluation.figures.rows]
    found = evaluation.metrics["latency_ms"]
    note = ", ".join(f"{key} {value:.1f} ms" for key, value in found.items()) + "; one image at a time, network only"
    return html.section("Latency", html.gallery([html.figure(report_figures.latency_plot(values))], 380), note=note)
