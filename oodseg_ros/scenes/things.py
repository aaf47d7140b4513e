"""What stands in a world, and how each kind of thing is painted and casts its shadow."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .canvas import NEAR, Canvas, Texture, fixed_point
from .values import POLE
from .vehicles import Mesh


@dataclass(frozen=True)
class Upright:
    """A flat picture that always faces the camera; (x, y) is where its foot's middle stands, at height z.

    `layer` orders the painting: 0 behind the street's edge, 1 the edge itself, 2 on the street.
    """

    picture: Texture
    x: float
    y: float
    height: float
    ident: int
    z: float = 0.0
    speed: float = 0.0
    kind: str = ""
    layer: int = 2

    @property
    def width(self) -> float:
        return self.height * self.picture.aspect


@dataclass(frozen=True)
class Solid:
    """A body that stands at (x, y), turned by `yaw`; `size` = length, width, height."""

    mesh: Mesh
    x: float
    y: float
    yaw: float
    size: tuple[float, float, float]
    ident: int
    speed: float = 0.0
    layer: int = 2


@dataclass(frozen=True)
class Panel:
    """A picture on a fixed upright plane: upper left corner, edge vectors."""

    picture: Texture
    corner: tuple[float, float, float]
    along: tuple[float, float, float]
    down: tuple[float, float, float]
    ident: int
    layer: int = 0

    @property
    def x(self) -> float:
        return self.corner[0] + self.along[0] / 2

    @property
    def y(self) -> float:
        return self.corner[1] + self.along[1] / 2

    speed = 0.0


@dataclass(frozen=True)
class Post:
    """A lamp post or mast; `arm` metres of boom towards +y (negative: -y)."""

    x: float
    y: float
    height: float
    radius: float
    color: tuple[float, float, float]
    arm: float = 0.0
    layer: int = 2
    speed: float = 0.0


Thing = Upright | Solid | Panel | Post


def forward(thing: Thing, camera_x: float, time: float) -> float:
    """Distance along the road from the camera to the thing's middle, metres."""
    return thing.x + thing.speed * time - camera_x


def paint(canvas: Canvas, thing: Thing, time: float, light: tuple[float, float, float], alpha: float = 1.0) -> None:
    """Paint one thing; `light` is the direction to the light (world, length 1)."""
    x = thing.x + thing.speed * time
    if isinstance(thing, Upright):
        canvas.sprite(thing.picture, np.array([x, thing.y, thing.z]), thing.width, thing.height, thing.ident, alpha)
    elif isinstance(thing, Panel):
        canvas.plane(thing.picture, np.array(thing.corner), np.array(thing.along), np.array(thing.down), thing.ident)
    elif isinstance(thing, Post):
        _post(canvas, thing)
    else:
        _solid(canvas, thing, x, light)


def _post(canvas: Canvas, post: Post) -> None:
    foot = np.array([post.x, post.y, 0.0])
    distance = max(post.x - canvas.camera.x, 0.0)
    r = max(post.radius, 0.25 * distance / canvas.camera.matrix[0, 0])
    outline = np.array([[0, -r, 0], [0, r, 0], [0, r * 0.7, post.height], [0, -r * 0.7, post.height]]) + foot
    canvas.polygon(outline, post.color, POLE, distance)
    lit = outline.copy()
    lit[[1, 2], 1] = post.y - 0.3 * r
    canvas.polygon(lit, tuple(min(c * 1.25, 255.0) for c in post.color), None, distance)
    if post.arm:
        z, t = post.height, r * 0.8
        boom = (
            np.array([[0, 0, z], [0, post.arm, z + 0.35], [0, post.arm, z + 0.35 - 2 * t], [0, 0, z - 2.5 * t]]) + foot
        )
        canvas.polygon(boom, post.color, POLE, distance)


def _solid(canvas: Canvas, solid: Solid, x: float, light: tuple[float, float, float]) -> None:
    sin, cos = np.sin(solid.yaw), np.cos(solid.yaw)
    turn = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
    place = np.array([x, solid.y, 0.0])
    camera = canvas.camera
    mesh = solid.mesh
    points = mesh.points @ turn + place
    optical = camera.optical(points)
    if (optical[:, 2] < NEAR * 3).any():
        return
    pixels = camera.pixels(optical)
    rows, columns = canvas.ids.shape
    x0, y0 = np.floor(pixels.min(0) - 2).astype(int).clip(0)
    x1, y1 = np.minimum(np.ceil(pixels.max(0) + 3).astype(int), [columns, rows])
    if x0 >= x1 or y0 >= y1:
        return
    normals = mesh.normals @ turn
    seen = ((camera.origin - points[mesh.first]) * normals).sum(1) > 0
    shade = 0.62 + 0.38 * np.maximum(normals @ light, 0.0) + 0.12 * normals[:, 2]
    share = float(canvas.haze.share(float(optical[:, 2].mean())))
    colors = np.minimum(mesh.colors * shade[:, None], 255.0) * (1 - share) + np.array(canvas.haze.color) * share
    fixed = fixed_point(pixels)
    for index in np.flatnonzero(seen):
        polygon = fixed[mesh.first[index] : mesh.first[index] + mesh.counts[index]]
        canvas.fill(polygon, colors[index].tolist(), solid.ident)
    _gloss(canvas, solid.ident, (x0, y0, x1, y1), int(abs(solid.y * 131 + solid.size[0] * 977)))


def _gloss(canvas: Canvas, ident: int, box: tuple[int, int, int, int], key: int) -> None:
    """Give painted metal reflections and dirt, so that it is as textured as everything else."""
    x0, y0, x1, y1 = box
    rng = np.random.default_rng(key)
    coarse = rng.standard_normal((7, 5), np.float32)
    field = cv2.resize(coarse, (x1 - x0, y1 - y0), interpolation=cv2.INTER_CUBIC) * 0.07
    fine = rng.standard_normal((48, 48), np.float32)
    field += cv2.resize(fine, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR) * 0.035
    patch = canvas.image[y0:y1, x0:x1]
    gain = np.clip(128 * (1 + field), 0, 255).astype(np.uint8)
    gain[canvas.ids[y0:y1, x0:x1] != ident] = 128
    patch[...] = cv2.multiply(patch, cv2.merge([gain] * 3), scale=1 / 128)


def shadow(
    contact: np.ndarray,
    cast: np.ndarray,
    canvas: Canvas,
    thing: Thing,
    time: float,
    sun: tuple[float, float] | None,
    shade: float,
    alpha: float,
) -> None:
    """Darken `contact` and `cast` (uint8, 255 = full light) under a thing; `shade` = light that a cast shadow takes."""
    x = thing.x + thing.speed * time
    if isinstance(thing, Panel) or (isinstance(thing, Upright) and thing.z > 0):
        return
    if sun is not None:
        _cast(cast, canvas, thing, x, sun, round(255 * (1 - shade * alpha)))
    length, width = (
        thing.size[:2]
        if isinstance(thing, Solid)
        else (0.3, 0.9 * thing.width if isinstance(thing, Upright) else 4 * thing.radius)
    )
    if width > 3:
        width = 0.4  # a tree stands on its trunk
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    turn = thing.yaw if isinstance(thing, Solid) else 0.0
    for grow, light in ((1.25, 190), (1.05, 130)):
        # A rounded rectangle: the superellipse hugs a car's outline better than an ellipse.
        c, s = np.cos(angle), np.sin(angle)
        a = np.sign(c) * np.sqrt(np.abs(c)) * (length / 2 * grow + 0.06)
        b = np.sign(s) * np.sqrt(np.abs(s)) * width / 2 * grow
        points = np.column_stack(
            [x + a * np.cos(turn) - b * np.sin(turn), thing.y + a * np.sin(turn) + b * np.cos(turn), np.zeros(20)]
        )
        outline = canvas.camera.outline(points)
        if outline is not None:
            _darken(contact, outline, round(255 - (255 - light) * alpha))


def _darken(mask: np.ndarray, outline: np.ndarray, level: int) -> None:
    """mask = min(mask, level) inside the polygon, touching only its bounding box."""
    rows, columns = mask.shape
    x0, y0 = np.clip(np.floor(outline.min(0)), 0, [columns, rows]).astype(int)
    x1, y1 = np.clip(np.ceil(outline.max(0)) + 1, 0, [columns, rows]).astype(int)
    if x0 >= x1 or y0 >= y1:
        return
    layer = np.full((y1 - y0, x1 - x0), 255, np.uint8)
    cv2.fillPoly(layer, [fixed_point(outline - [x0, y0])], level, cv2.LINE_AA, 4)
    np.minimum(mask[y0:y1, x0:x1], layer, out=mask[y0:y1, x0:x1])


def _cast(mask: np.ndarray, canvas: Canvas, thing: Thing, x: float, sun: tuple[float, float], level: int) -> None:
    """The shadow that the sun throws: the thing's silhouette laid on the ground along the light."""
    if isinstance(thing, Upright):
        w, h = thing.width, thing.height
        corner = np.array([x + sun[0] * h, thing.y + sun[1] * h + w / 2, 0.0])
        plain = Canvas(np.full((*mask.shape, 3), 0, np.uint8), mask, canvas.camera, canvas.haze)
        # Only the ids of this throw-away canvas are wanted: the silhouette's solid pixels get the shadow's level.
        plain.plane(thing.picture, corner, np.array([0.0, -w, 0.0]), np.array([-sun[0] * h, -sun[1] * h, 0.0]), level)
        return
    if isinstance(thing, Solid):
        sin, cos = np.sin(thing.yaw), np.cos(thing.yaw)
        turn = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
        corners = np.array([[a, b, c] for a in (-0.5, 0.5) for b in (-0.5, 0.5) for c in (0, 0.9)]) * thing.size @ turn
        corners[corners[:, 2] > 0.1, :2] *= 0.85
        points = corners + np.array([x, thing.y, 0.0])
    else:
        r = thing.radius
        points = np.array(
            [[x, thing.y - r, 0], [x, thing.y + r, 0], [x, thing.y - r, thing.height], [x, thing.y + r, thing.height]]
        )
    flat = points[:, :2] + points[:, 2:] * sun
    hull = cv2.convexHull(flat.astype(np.float32))[:, 0]
    outline = canvas.camera.outline(np.column_stack([hull, np.zeros(len(hull))]))
    if outline is not None:
        _darken(mask, outline, level)
