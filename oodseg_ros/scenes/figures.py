"""Upright pictures of known things: persons, two-wheelers, trees, signs. Each returns straight-alpha RGBA uint8."""

from __future__ import annotations

import cv2
import numpy as np

from .textures import foliage, mottle, noise

Color = tuple[int, int, int]


class Sheet:
    """A transparent drawing sheet; coordinates are fractions of its height, x from the middle, y from the top."""

    def __init__(self, height: int, width: int):
        self.height = height
        self.width = width
        self.rgba = np.zeros((height, width, 4), np.uint8)

    def _points(self, points: np.ndarray | list) -> np.ndarray:
        scaled = np.asarray(points, float) * self.height + [self.width / 2, 0]
        return np.round(scaled * 16).astype(np.int32)

    def fill(self, points: np.ndarray | list, color: np.ndarray | Color) -> None:
        cv2.fillPoly(self.rgba, [self._points(points)], (*map(float, color), 255.0), cv2.LINE_AA, 4)

    def line(self, points: np.ndarray | list, color: np.ndarray | Color, width: float) -> None:
        thickness = max(1, round(width * self.height))
        cv2.polylines(self.rgba, [self._points(points)], False, (*map(float, color), 255.0), thickness, cv2.LINE_AA, 4)

    def ellipse(
        self, center: tuple[float, float], axes: tuple[float, float], color: np.ndarray | Color, width: float = 0.0
    ) -> None:
        angle = np.linspace(0, 2 * np.pi, 28, endpoint=False)
        outline = np.column_stack([center[0] + axes[0] * np.cos(angle), center[1] + axes[1] * np.sin(angle)])
        if width:
            self.line(np.vstack([outline, outline[:1]]), color, width)
        else:
            self.fill(outline, color)

    def shaded(self, rng: np.random.Generator, contrast: float = 14.0, side: float = 0.0) -> np.ndarray:
        """The picture with texture and light from one side (`side` -1..1) and above, so that no surface is flat."""
        field = mottle(rng, self.height, self.width)
        slope = (
            side * np.linspace(-1, 1, self.width, dtype=np.float32)[None] + np.linspace(0.8, -0.8, self.height)[:, None]
        )
        gain = (1 + (contrast / 100) * field + 0.16 * slope).astype(np.float32)
        grain = rng.standard_normal((self.height, self.width), np.float32) * 3
        alpha = cv2.extractChannel(self.rgba, 3)
        # Smooth edges were drawn onto transparent black: dividing by alpha gives them back the object's own color.
        gain *= 255.0 / np.maximum(alpha, 1)
        lit = cv2.multiply(cv2.cvtColor(self.rgba, cv2.COLOR_RGBA2RGB), cv2.merge([gain] * 3), dtype=cv2.CV_32F)
        lit = cv2.add(lit, cv2.merge([grain] * 3), dtype=cv2.CV_8U)
        return cv2.merge([*cv2.split(lit), alpha])


def cloth(rng: np.random.Generator) -> np.ndarray:
    """A color of clothes or paint: mostly muted, now and then strong; RGB float `[3]`."""
    gray = rng.uniform(20, 220)
    strength = rng.choice([5, 20, 45], p=[0.45, 0.38, 0.17])
    return np.clip(gray + rng.normal(0, strength, 3), 8, 245)


def person(rng: np.random.Generator) -> np.ndarray:
    """A standing or walking person, 1 high : about 0.45 wide."""
    sheet = Sheet(224, 100)
    skin = np.array([205, 160, 130]) * rng.uniform(0.35, 1.1)
    top, legs, hair = cloth(rng), cloth(rng) * 0.7, np.array([60, 45, 35]) * rng.uniform(0.3, 2.5)
    stride = rng.uniform(0.01, 0.12)
    lean = rng.normal(0, 0.01)
    for sign, shade in ((-1, 0.8), (1, 1.0)):
        foot = sign * stride + rng.normal(0, 0.01)
        sheet.line([[sign * 0.035, 0.5], [foot * 0.6 + 0.01, 0.74], [foot, 0.965]], legs * shade, 0.07)
        sheet.fill(
            [[foot - 0.03, 0.955], [foot + 0.06, 0.965], [foot + 0.06, 0.999], [foot - 0.03, 0.999]], (30, 28, 26)
        )
    hem = rng.choice([0.52, 0.58, 0.68])
    sheet.fill([[-0.095 + lean, 0.2], [0.095 + lean, 0.2], [0.085, 0.5], [0.09, hem], [-0.09, hem], [-0.085, 0.5]], top)
    swing = rng.uniform(-0.08, 0.08)
    for sign in (-1, 1):
        hand = [sign * 0.12 + sign * swing, 0.52]
        sheet.line([[sign * 0.1 + lean, 0.22], [sign * 0.135, 0.37], hand], top * 0.9, 0.05)
        sheet.ellipse(tuple(hand), (0.022, 0.025), skin)
    if rng.random() < 0.35:
        bag = cloth(rng)
        sheet.fill([[0.07, 0.24], [0.15, 0.26], [0.14, 0.46], [0.07, 0.47]], bag)
    sheet.fill([[-0.03 + lean, 0.15], [0.03 + lean, 0.15], [0.04, 0.21], [-0.04, 0.21]], skin * 0.9)
    sheet.ellipse((lean, 0.09), (0.055, 0.075), skin)
    sheet.ellipse((lean, 0.06), (0.06, 0.058), hair)
    return sheet.shaded(rng, 12, rng.uniform(-1, 1))


def two_wheeler(rng: np.random.Generator) -> np.ndarray:
    """A bicycle or motorcycle with or without rider, from the side or from behind; 1 high."""
    rear = rng.random() < 0.5
    ridden = rng.random() < 0.75
    sheet = Sheet(224, 110 if rear else 240)
    frame, dark, motor = cloth(rng), np.array([35, 33, 32]), rng.random() < 0.35
    ground = 0.998
    radius = 0.17 if motor else 0.19
    if rear:
        wheel = 0.045 if motor else 0.018
        sheet.fill(
            [[-wheel, ground - 2 * radius], [wheel, ground - 2 * radius], [wheel, ground], [-wheel, ground]], dark
        )
        sheet.line([[-0.16, 0.52], [0.16, 0.52]], dark * 1.5, 0.025)
        sheet.line([[0, 0.55], [0, 0.75]], frame, 0.11 if motor else 0.03)
        sheet.ellipse((0, 0.66), (0.025, 0.018), (200, 30, 25))
        legs, hips = [([0.05 * s, 0.56], [0.1 * s, 0.72], [0.07 * s, 0.88]) for s in (-1, 1)], (0.0, 0.56)
    else:
        for center in (-0.3, 0.3):
            sheet.ellipse((center, ground - radius), (radius - 0.012, radius - 0.01), dark, 0.055 if motor else 0.024)
            sheet.ellipse((center, ground - radius), (0.02, 0.02), dark * 2)
        axle = ground - radius
        for bar in (
            [[-0.3, axle], [-0.12, 0.62], [0.22, 0.6], [0.3, axle]],
            [[-0.3, axle], [0.0, axle], [0.22, 0.6]],
            [[0, axle], [-0.14, 0.58]],
        ):
            sheet.line(bar, frame, 0.07 if motor else 0.022)
        if motor:
            sheet.fill([[-0.2, 0.6], [0.2, 0.56], [0.18, 0.84], [-0.12, 0.88]], frame * 0.8)
        sheet.line([[0.22, 0.6], [0.19, 0.5], [0.13, 0.5]], dark, 0.022)
        sheet.fill([[-0.2, 0.555], [-0.06, 0.555], [-0.08, 0.59], [-0.18, 0.59]], dark)
        legs, hips = [([-0.1, 0.56], [0.07, 0.66 + 0.05 * s], [0.0, 0.85 + 0.06 * s]) for s in (-1, 1)], (-0.11, 0.55)
    if ridden:
        top, pants = cloth(rng), cloth(rng) * 0.6
        for leg in legs:
            sheet.line(list(leg), pants, 0.06)
        reach = 0.0 if rear else 0.14
        neck = (hips[0] + reach, 0.24)
        sheet.line([list(hips), list(neck)], top, 0.14)
        for s in (-1, 1):
            sheet.line(
                [[neck[0], 0.27], [0.15 * s, 0.4] if rear else [0.1, 0.4], [0.14 * s, 0.52] if rear else [0.16, 0.5]],
                top * 0.85,
                0.045,
            )
        head = (neck[0] + (0 if rear else 0.03), 0.11)
        sheet.ellipse(head, (0.055, 0.07), np.array([205, 160, 130]) * rng.uniform(0.4, 1.1))
        sheet.ellipse((head[0], head[1] - 0.03), (0.064, 0.055), cloth(rng))
    return sheet.shaded(rng, 12, rng.uniform(-1, 1))


def tree(rng: np.random.Generator) -> np.ndarray:
    """A tree with leaves, a conifer, or bare branches; 1 high : 0.75 wide."""
    sheet = Sheet(288, 216)
    bark = np.array([85, 70, 55]) * rng.uniform(0.5, 1.3)
    kind = rng.choice(["round", "bare", "conifer"], p=[0.65, 0.2, 0.15])
    trunk = rng.uniform(0.018, 0.035)
    crown = rng.uniform(0.25, 0.45)
    sheet.fill([[-trunk * 0.7, crown], [trunk * 0.7, crown], [trunk * 1.4, 1.0], [-trunk * 1.4, 1.0]], bark)
    if kind == "bare":
        _branch(sheet, rng, np.array([0, 0.62]), -np.pi / 2, 0.2, trunk * 1.2, bark)
        return sheet.shaded(rng, 10)
    crown_mask = np.zeros((288, 216), np.uint8)
    bulge = 0.5 * noise(rng, 288, 6, 3)[:, :216]
    y, x = np.mgrid[:288, :216].astype(np.float32) / 288
    x -= 0.375
    if kind == "conifer":
        shape = (y - 0.02) / 0.86 * 0.26 - np.abs(x) + 0.03 * bulge
        shape[y > 0.88] = -1
    else:
        shape = np.full(y.shape, -1.0, np.float32)
        for _ in range(6):
            cx, cy = rng.uniform(-0.16, 0.16), rng.uniform(0.2, 0.48)
            rx, ry = rng.uniform(0.13, 0.2), rng.uniform(0.11, 0.18)
            shape = np.maximum(shape, 1 - ((x - cx) / rx) ** 2 - ((y - cy) / ry) ** 2)
        shape = shape + 0.5 * bulge
    crown_mask[shape > 0] = 255
    green = np.array([62, 92, 38]) + rng.normal(0, 12, 3) + (np.array([70, 20, -10]) if rng.random() < 0.15 else 0)
    leaves = foliage(rng, 288, 216, np.clip(green, 10, 200))
    sheet.rgba[crown_mask > 0] = np.dstack([leaves, crown_mask])[crown_mask > 0]
    sheet.rgba[..., 3] = np.maximum(cv2.GaussianBlur(sheet.rgba[..., 3], (3, 3), 0.7), 0)
    return sheet.shaded(rng, 8)


def _branch(
    sheet: Sheet,
    rng: np.random.Generator,
    start: np.ndarray,
    angle: float,
    length: float,
    width: float,
    color: np.ndarray,
) -> None:
    """Draw one branch and its children."""
    end = start + length * np.array([np.cos(angle), np.sin(angle)])
    sheet.line([start, end], color, width)
    if length > 0.035:
        for _ in range(3 if length > 0.08 else 2):
            _branch(
                sheet,
                rng,
                start + (end - start) * rng.uniform(0.6, 1),
                angle + rng.normal(0, 0.55),
                length * rng.uniform(0.6, 0.8),
                width * 0.6,
                color,
            )


def bush(rng: np.random.Generator) -> np.ndarray:
    """A bush, 1 high : 1.5 wide."""
    h, w = 128, 192
    y, x = np.mgrid[:h, :w] / float(h)
    shape = 1 - ((x - 0.75) / 0.72) ** 2 - ((1 - y) / 0.92) ** 2 + 0.25 * noise(rng, 256, 12, 3)[:h, :w]
    leaves = foliage(rng, h, w, np.clip(np.array([60, 88, 36]) + rng.normal(0, 14, 3), 10, 200))
    return np.dstack([leaves, np.where(shape > 0, 255, 0).astype(np.uint8)])


def sign(rng: np.random.Generator) -> np.ndarray:
    """A traffic sign's face: disc, triangle, diamond or panel; 1 : 1."""
    sheet = Sheet(96, 96)
    white, red, blue, yellow, black = (235, 235, 230), (190, 25, 30), (25, 70, 170), (235, 190, 20), (25, 25, 25)
    kind = rng.integers(6)
    if kind == 0:
        sheet.ellipse((0, 0.5), (0.48, 0.48), red)
        sheet.ellipse((0, 0.5), (0.36, 0.36), white)
        sheet.line([[-0.15, 0.38], [-0.15, 0.62]], black, 0.07)
        sheet.ellipse((0.1, 0.5), (0.1, 0.13), black, 0.06)
    elif kind == 1:
        sheet.fill([[-0.48, 0.93], [0.48, 0.93], [0, 0.07]], red)
        sheet.fill([[-0.33, 0.84], [0.33, 0.84], [0, 0.26]], white)
        sheet.line([[0, 0.42], [0, 0.7]], black, 0.08)
    elif kind == 2:
        sheet.ellipse((0, 0.5), (0.48, 0.48), blue)
        sheet.line([[0, 0.8], [0, 0.3], [-0.14, 0.45], [0, 0.28], [0.14, 0.45]], white, 0.09)
    elif kind == 3:
        sheet.fill([[0, 0.02], [0.48, 0.5], [0, 0.98], [-0.48, 0.5]], white)
        sheet.fill([[0, 0.14], [0.36, 0.5], [0, 0.86], [-0.36, 0.5]], yellow)
    elif kind == 4:
        sheet.ellipse((0, 0.5), (0.48, 0.48), red)
        sheet.line([[-0.3, 0.5], [0.3, 0.5]], white, 0.16)
    else:
        sheet.fill(
            [[-0.47, 0.03], [0.47, 0.03], [0.47, 0.97], [-0.47, 0.97]], blue if rng.random() < 0.6 else (20, 110, 60)
        )
        for row in np.arange(0.22, 0.8, 0.2):
            sheet.line([[-0.34, row], [rng.uniform(-0.1, 0.34), row]], white, 0.08)
    return sheet.shaded(rng, 5)


def traffic_light(rng: np.random.Generator) -> np.ndarray:
    """A signal head, 1 high : 0.4 wide."""
    sheet = Sheet(96, 40)
    sheet.fill([[-0.19, 0.01], [0.19, 0.01], [0.19, 0.99], [-0.19, 0.99]], (28, 30, 28))
    lit = rng.integers(3)
    for index, color in enumerate([(230, 40, 30), (240, 180, 30), (40, 220, 130)]):
        sheet.ellipse((0, 0.18 + 0.32 * index), (0.12, 0.12), np.array(color) * (1.0 if index == lit else 0.22))
    return sheet.shaded(rng, 4)
