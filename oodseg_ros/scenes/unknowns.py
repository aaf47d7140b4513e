"""Procedural unknown objects, things that no class of driving11 covers: what they are, how large, and their drawings.
Each drawing fills a sheet, standing on its lower edge.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from .figures import Sheet, cloth
from .textures import noise

WOOD = np.array([170, 130, 85])


def _box(sheet: Sheet, rng: np.random.Generator, color: np.ndarray, w: float) -> None:
    """A box seen over a corner or from the front: front, side and top."""
    turn = rng.uniform(-0.35, 0.35) * w
    lid = rng.uniform(0.08, 0.2)
    left, right, edge = -w / 2, w / 2, turn
    skew = 0.06 * np.sign(turn)
    sheet.fill([[left, lid], [edge, lid + 0.06], [edge, 0.998], [left, 0.998 - 0.04 * (skew > 0)]], color)
    sheet.fill([[edge, lid + 0.06], [right, lid], [right, 0.998 - 0.04 * (skew < 0)], [edge, 0.998]], color * 0.72)
    sheet.fill(
        [[left, lid], [left + right - edge, lid - 0.06], [right, lid], [edge, lid + 0.06]],
        np.clip(color * 1.18, 0, 255),
    )


def carton(sheet: Sheet, rng: np.random.Generator) -> None:
    """A cardboard box with tape."""
    color = np.array([175, 138, 95]) * rng.uniform(0.6, 1.15)
    _box(sheet, rng, color, 0.95)
    sheet.line([[-0.3, rng.uniform(0.4, 0.6)], [0.3, rng.uniform(0.4, 0.6)]], color * 1.3, 0.05)


def crate(sheet: Sheet, rng: np.random.Generator) -> None:
    """A slatted box."""
    color = cloth(rng)
    _box(sheet, rng, color * 0.55, 1.3)
    for y in np.arange(0.3, 0.95, 0.16):
        sheet.line([[-0.64, y], [0.64, y]], color, 0.07)
    for x in (-0.62, 0, 0.62):
        sheet.line([[x, 0.25], [x, 0.97]], color * 1.1, 0.07)


def pallet(sheet: Sheet, rng: np.random.Generator) -> None:
    """A wooden pallet, lying (wide sheet) or standing."""
    color = WOOD * rng.uniform(0.5, 1.1)
    if sheet.width > 2 * sheet.height:  # lying
        for y in (0.08, 0.9):
            sheet.fill([[-2.4, y], [2.4, y], [2.5, y + 0.098], [-2.5, y + 0.098]], color * (1.1 - 0.2 * y))
        for x in (-2.2, -0.2, 1.8):
            sheet.fill([[x, 0.1], [x + 0.4, 0.1], [x + 0.4, 0.998], [x, 0.998]], color * 0.7)
        return
    for y in np.arange(0.0, 0.95, 0.19):
        sheet.fill(
            [[-0.55, y], [0.55, y + rng.normal(0, 0.01)], [0.55, y + 0.12], [-0.55, y + 0.12]],
            color * rng.uniform(0.8, 1.1),
        )
    for x in (-0.55, -0.06, 0.43):
        sheet.fill([[x, 0.0], [x + 0.12, 0.0], [x + 0.12, 0.998], [x, 0.998]], color * 0.75)


def tyre(sheet: Sheet, rng: np.random.Generator) -> None:
    """A tyre, lying (wide sheet) or standing."""
    dark = np.full(3, rng.uniform(22, 55))
    if sheet.width > 1.5 * sheet.height:  # lying
        sheet.ellipse((0, 0.6), (1.05, 0.395), dark * 0.8)
        sheet.ellipse((0, 0.38), (1.05, 0.375), dark * 1.35)
        sheet.ellipse((0, 0.38), (0.55, 0.19), dark * 0.45)
        return
    sheet.ellipse((0, 0.5), (0.49, 0.498), dark)
    sheet.ellipse((0, 0.5), (0.4, 0.4), dark * 1.4, 0.03)
    sheet.ellipse((0, 0.5), (0.26, 0.27), dark * 0.5 if rng.random() < 0.6 else np.full(3, 150.0))


def barrel(sheet: Sheet, rng: np.random.Generator) -> None:
    """A drum."""
    color = cloth(rng)
    sheet.fill([[-0.33, 0.06], [0.33, 0.06], [0.35, 0.5], [0.33, 0.96], [0, 0.998], [-0.33, 0.96], [-0.35, 0.5]], color)
    sheet.ellipse((0, 0.07), (0.33, 0.06), color * 1.2)
    for y in (0.34, 0.66):
        sheet.line([[-0.34, y], [0, y + 0.03], [0.34, y]], color * 0.6, 0.025)


def rock(sheet: Sheet, rng: np.random.Generator) -> None:
    """A boulder with facets."""
    angle = np.sort(rng.uniform(0, np.pi, 9))
    radius = rng.uniform(0.75, 1.0, 9)
    half = sheet.width / sheet.height / 2
    top = np.column_stack([half * radius * np.cos(angle), 1 - 0.97 * radius * np.sin(angle)])
    color = rng.uniform(70, 160) + rng.normal(0, 10, 3)
    sheet.fill(np.vstack([[[half * 0.97, 0.998]], top, [[-half * 0.97, 0.998]]]), color)
    apex = [rng.uniform(-0.2, 0.2), rng.uniform(0.35, 0.6)]
    for index in range(0, 8, 2):
        sheet.fill([apex, top[index], top[index + 1]], color * rng.uniform(0.6, 1.25))


def bag(sheet: Sheet, rng: np.random.Generator) -> None:
    """A tied sack."""
    color = np.full(3, 30.0) if rng.random() < 0.4 else cloth(rng)
    angle = np.linspace(0, 2 * np.pi, 30, endpoint=False)
    lump = 1 + 0.1 * np.interp(angle, np.linspace(0, 2 * np.pi, 9), np.append(r := rng.normal(0, 1, 8), r[0]))
    sheet.fill(
        np.column_stack([0.42 * lump * np.cos(angle), np.minimum(0.6 + 0.4 * lump * np.sin(angle), 0.998)]), color
    )
    sheet.fill([[-0.1, 0.3], [0.1, 0.3], [0.16, 0.04], [0.02, 0.12], [-0.14, 0.02]], color * 1.15)
    for _ in range(5):
        x = rng.uniform(-0.3, 0.3)
        sheet.line([[x * 0.3, 0.3], [x, rng.uniform(0.5, 0.9)]], color * rng.uniform(0.5, 1.6), 0.02)


def animal(sheet: Sheet, rng: np.random.Generator) -> None:
    """A four-legged animal of some breed, from the side."""
    color = rng.choice([[120, 85, 55], [45, 40, 38], [190, 175, 155], [150, 140, 130], [170, 110, 60]]) * rng.uniform(
        0.8, 1.15
    )
    way = 1 if rng.random() < 0.5 else -1
    thick = rng.uniform(0.05, 0.1)
    neck = rng.uniform(0.0, 0.3)
    body = 0.62 - 0.15 * neck
    for x, shade in ((-0.36, 0.7), (0.3, 0.7), (-0.28, 1.0), (0.38, 1.0)):
        step = rng.normal(0, 0.04)
        sheet.line([[x * way, body], [(x + step) * way, 0.8], [(x + 2 * step) * way, 0.975]], color * shade, thick)
    sheet.ellipse((0, body - 0.06), (0.46, rng.uniform(0.15, 0.22)), color)
    head = (0.58 * way, 0.36 - neck)
    sheet.line([[0.36 * way, body - 0.06], list(head)], color, 0.16)
    sheet.ellipse(head, (0.15, 0.1), color * 1.05)
    sheet.ellipse((head[0] + 0.12 * way, head[1] + 0.04), (0.08, 0.06), color * 0.8)
    sheet.fill(
        [
            [head[0] - 0.06 * way, head[1] - 0.06],
            [head[0] - 0.04 * way, head[1] - 0.2],
            [head[0] + 0.05 * way, head[1] - 0.07],
        ],
        color * 0.8,
    )
    sheet.line([[-0.42 * way, body - 0.1], [-0.6 * way, body - rng.uniform(-0.2, 0.25)]], color * 0.9, 0.05)


def plank(sheet: Sheet, rng: np.random.Generator) -> None:
    """One to three boards."""
    half = sheet.width / sheet.height / 2 * 0.98
    for layer in range(rng.integers(1, 4)):
        y = 0.998 - 0.32 * layer
        tilt = rng.normal(0, 0.06)
        end = half * rng.uniform(0.75, 1)
        sheet.fill(
            [[-end, y - 0.3 + tilt], [end, y - 0.3 - tilt], [end, y - max(tilt, 0)], [-end, y - max(-tilt, 0)]],
            WOOD * rng.uniform(0.6, 1.2),
        )


def ladder(sheet: Sheet, rng: np.random.Generator) -> None:
    """A ladder lying on its side."""
    half = sheet.width / sheet.height / 2 * 0.97
    color = WOOD if rng.random() < 0.4 else np.full(3, rng.uniform(140, 210))
    sheet.line([[-half, 0.95], [half, 0.95]], color, 0.09)
    sheet.line([[-half * 0.9, 0.12], [half * 0.9, 0.12]], color * 0.9, 0.08)
    for x in np.linspace(-half * 0.9, half * 0.9, rng.integers(5, 9)):
        sheet.line([[x, 0.95], [x * 0.93, 0.12]], color * 0.8, 0.07)


def chair(sheet: Sheet, rng: np.random.Generator) -> None:
    """A chair."""
    color = WOOD * rng.uniform(0.4, 1.1) if rng.random() < 0.5 else cloth(rng)
    for x, y in ((-0.24, 0.998), (0.24, 0.998), (-0.2, 0.92), (0.2, 0.92)):
        sheet.line([[x * 0.95, 0.55], [x, y - 0.02]], color * 0.8, 0.05)
    sheet.fill([[-0.27, 0.52], [0.27, 0.52], [0.24, 0.62], [-0.24, 0.62]], color)
    sheet.fill([[-0.25, 0.02], [0.25, 0.02], [0.24, 0.5], [-0.24, 0.5]], color * 0.9)


def sofa(sheet: Sheet, rng: np.random.Generator) -> None:
    """A sofa."""
    color = cloth(rng)
    sheet.fill([[-1.0, 0.05], [1.0, 0.05], [1.0, 0.7], [-1.0, 0.7]], color * 0.85)
    sheet.fill([[-1.05, 0.45], [1.05, 0.45], [1.05, 0.92], [-1.05, 0.92]], color)
    for side in (-1, 1):
        sheet.fill([[side * 0.85, 0.3], [side * 1.1, 0.3], [side * 1.1, 0.95], [side * 0.85, 0.95]], color * 1.1)
        sheet.line([[side * 0.95, 0.93], [side * 0.95, 0.98]], (40, 30, 20), 0.06)
    sheet.line([[0, 0.1], [0, 0.6]], color * 0.6, 0.02)


def mattress(sheet: Sheet, rng: np.random.Generator) -> None:
    """A mattress."""
    half = sheet.width / sheet.height / 2 * 0.96
    color = np.clip(cloth(rng) * 0.4 + 130, 0, 240)
    sheet.fill(
        [[-half, 0.25], [-half * 0.7, 0.03], [half, 0.1], [half, 0.75], [half * 0.75, 0.998], [-half, 0.9]], color
    )
    sheet.fill([[-half, 0.55], [half * 0.75, 0.66], [half * 0.75, 0.998], [-half, 0.9]], color * 0.72)


def ball(sheet: Sheet, rng: np.random.Generator) -> None:
    """A ball."""
    color = cloth(rng)
    sheet.ellipse((0, 0.5), (0.49, 0.498), color)
    sheet.ellipse((0, 0.5), (0.2, 0.49), 255 - color, 0.06)
    sheet.ellipse((-0.15, 0.28), (0.12, 0.1), np.clip(color * 1.6 + 30, 0, 255))


def cone(sheet: Sheet, rng: np.random.Generator) -> None:
    """A traffic cone."""
    color = np.array([225, 85, 25]) if rng.random() < 0.7 else cloth(rng)
    sheet.fill([[-0.33, 0.92], [0.33, 0.92], [0.36, 0.998], [-0.36, 0.998]], color * 0.6)
    sheet.fill([[-0.045, 0.01], [0.045, 0.01], [0.24, 0.93], [-0.24, 0.93]], color)
    for y in (0.3, 0.58):
        sheet.fill(
            [[-0.05 - 0.21 * y, y], [0.05 + 0.21 * y, y], [0.08 + 0.21 * y, y + 0.14], [-0.08 - 0.21 * y, y + 0.14]],
            (230, 230, 225),
        )


def trolley(sheet: Sheet, rng: np.random.Generator) -> None:
    """A shopping trolley."""
    color = np.full(3, rng.uniform(110, 190))
    for x in np.arange(-0.36, 0.4, 0.09):
        sheet.line([[x, 0.25], [x * 0.8, 0.68]], color, 0.018)
    for y in (0.25, 0.4, 0.54, 0.68):
        sheet.line([[-0.38, y], [0.38, y]], color * 0.9, 0.022)
    sheet.line([[-0.5, 0.08], [-0.38, 0.25], [-0.32, 0.72], [-0.3, 0.88], [0.36, 0.86]], color, 0.035)
    for x in (-0.3, 0.34):
        sheet.ellipse((x, 0.93), (0.06, 0.065), (35, 35, 35))


def suitcase(sheet: Sheet, rng: np.random.Generator) -> None:
    """A suitcase on wheels."""
    color = cloth(rng)
    sheet.fill([[-0.33, 0.2], [0.33, 0.2], [0.35, 0.95], [-0.35, 0.95]], color)
    sheet.line([[-0.16, 0.2], [-0.15, 0.03], [0.15, 0.03], [0.16, 0.2]], (45, 45, 45), 0.035)
    for x in (-0.2, 0, 0.2):
        sheet.line([[x, 0.22], [x, 0.92]], color * 0.75, 0.02)
    for x in (-0.27, 0.27):
        sheet.ellipse((x, 0.965), (0.05, 0.033), (25, 25, 25))


def debris(sheet: Sheet, rng: np.random.Generator) -> None:
    """A heap of odds and ends."""
    half = sheet.width / sheet.height / 2 * 0.9
    for _ in range(rng.integers(4, 9)):
        x, y = rng.uniform(-half, half) * 0.8, rng.uniform(0.6, 0.9)
        shape = rng.uniform(-1, 1, (5, 2)) * [0.45, 0.3]
        outline = cv2.convexHull(shape.astype(np.float32))[:, 0] + [x, y]
        sheet.fill(np.clip(outline, [-half * 1.1, 0.0], [half * 1.1, 0.998]), cloth(rng))
    sheet.fill([[-half * 0.6, 0.9], [half * 0.6, 0.9], [half * 0.5, 0.998], [-half * 0.5, 0.998]], cloth(rng))


Draw = Callable[[Sheet, np.random.Generator], None]

# name: (drawer, width / height of the sheet, smallest and largest height in metres)
KINDS: dict[str, tuple[Draw, float, float, float]] = {
    "carton": (carton, 1.0, 0.25, 0.7),
    "crate": (crate, 1.4, 0.2, 0.5),
    "pallet": (pallet, 1.2, 0.8, 1.2),
    "flat pallet": (pallet, 5.1, 0.14, 0.24),
    "tyre": (tyre, 1.0, 0.5, 0.85),
    "lying tyre": (tyre, 2.2, 0.22, 0.34),
    "barrel": (barrel, 0.75, 0.6, 1.0),
    "rock": (rock, 1.4, 0.15, 0.8),
    "bag": (bag, 1.0, 0.3, 0.8),
    "animal": (animal, 1.6, 0.3, 1.4),
    "plank": (plank, 8.0, 0.12, 0.28),
    "ladder": (ladder, 4.5, 0.3, 0.55),
    "chair": (chair, 0.65, 0.75, 1.0),
    "sofa": (sofa, 2.3, 0.7, 0.9),
    "mattress": (mattress, 2.2, 0.5, 1.0),
    "ball": (ball, 1.0, 0.2, 0.5),
    "cone": (cone, 0.75, 0.4, 0.8),
    "trolley": (trolley, 1.1, 0.8, 1.05),
    "suitcase": (suitcase, 0.75, 0.5, 0.8),
    "debris": (debris, 2.2, 0.2, 0.5),
}


def unknown(rng: np.random.Generator) -> tuple[str, np.ndarray, float]:
    """A random unknown: its kind, straight-alpha RGBA uint8 picture cut to its outline, and height in metres."""
    kind = str(rng.choice(list(KINDS)))
    draw, aspect, low, high = KINDS[kind]
    rows = 160 if aspect < 3 else 64
    sheet = Sheet(rows, max(round(rows * aspect), 8))
    draw(sheet, rng)
    picture = sheet.shaded(rng, float(rng.uniform(8, 24)), float(rng.uniform(-1, 1)))
    if rng.random() < 0.35:
        stain = cv2.resize(noise(rng, 128, 5, 3), picture.shape[1::-1])
        picture[..., :3] = np.where(
            (stain > 0.7)[..., None], picture[..., :3] * rng.uniform(0.5, 0.85), picture[..., :3]
        )
    return kind, trimmed(picture), float(rng.uniform(low, high))


def trimmed(picture: np.ndarray) -> np.ndarray:
    """The picture without transparent margins, so that its lowest row is where the thing stands."""
    rows, columns = np.flatnonzero((picture[..., 3] > 127).any(1)), np.flatnonzero((picture[..., 3] > 127).any(0))
    return np.ascontiguousarray(picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
