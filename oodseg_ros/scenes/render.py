"""From a world and a pose to a `Scene`: paint far to near, then develop as the sensor would."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from .canvas import Camera, Canvas
from .ground import GroundView, paint_ground
from .things import Upright, forward, paint, shadow
from .values import BUILDING, FADING, FIRST_UNKNOWN, MIN_AREA, SKY, VEGETATION, VOID, Scene, SceneObstacle
from .weather import Sensor, sensor, sky
from .world import World

SIGHT = 170.0
"""Things further ahead than this (metres) are not painted; the horizon's silhouette stands for them."""


@dataclass(frozen=True)
class Stage:
    """A world seen by one camera: all that stays the same from frame to frame."""

    world: World
    camera: Camera
    background: np.ndarray
    background_ids: np.ndarray
    view: GroundView
    sensor: Sensor
    hood: np.ndarray | None


def stage(rng: np.random.Generator, world: World, camera: Camera, hood: float = 0.0) -> Stage:
    """Prepare a world for rendering with a camera; `hood` = share of the image rows that the own car covers."""
    rows, columns = camera.size
    background = sky(rng, world.light, camera.size, camera.horizon)
    ids = np.full(camera.size, SKY, np.uint8)
    _silhouette(rng, world, camera, background, ids)
    outline = None
    if hood > 0:
        x = np.linspace(-1, 1, 24)
        top = rows * (1 - hood * (1 - 0.35 * x**2))
        outline = np.vstack([np.column_stack([(x + 1) * columns / 2, top]), [[columns, rows], [0, rows]]])
    return Stage(world, camera, background, ids, GroundView(camera), sensor(rng, world.light, camera.size), outline)


def _silhouette(
    rng: np.random.Generator, world: World, camera: Camera, background: np.ndarray, ids: np.ndarray
) -> None:
    """Trees, hills or roofs at the horizon, veiled by the air."""
    rows, columns = camera.size
    scale = camera.matrix[1, 1] / 260.0
    ident = BUILDING if world.kind in ("city", "works") and rng.random() < 0.6 else VEGETATION
    x = np.linspace(-5, columns + 5, 90)
    if ident == BUILDING:
        heights = np.repeat(rng.uniform(4, 22, 30), 3)
        color = np.array([125, 118, 112]) * rng.uniform(0.7, 1.1)
    else:
        heights = np.abs(np.cumsum(rng.normal(0, 1.2, 90))) + rng.uniform(3, 9) + rng.uniform(0, 2.5, 90)
        color = np.array([70, 88, 58]) * rng.uniform(0.7, 1.2)
    share = float(world.light.haze.share(260.0))
    mixed = color * (1 - share) + np.array(world.light.haze.color) * share
    ridge = np.column_stack([x, camera.horizon - np.clip(heights, 1, 26) * scale])
    # Rows further down are ground, which is painted over it.
    top, bottom = (int(np.clip(v, 0, rows)) for v in (ridge[:, 1].min() - 1, camera.horizon + 4))
    if bottom <= top:
        return
    outline = np.vstack([ridge, [[columns + 5, rows], [-5, rows]]]) - [0, top]
    mask = np.zeros((bottom - top, columns), np.uint8)
    cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], 255, cv2.LINE_8, 4)
    grain = rng.standard_normal(((bottom - top) // 3 + 1, columns // 3), np.float32) * 9 * (1 - share)
    grain = cv2.resize(grain, (columns, bottom - top))[mask > 0]
    ids[top:bottom][mask > 0] = ident
    background[top:bottom][mask > 0] = np.clip(mixed + grain[:, None], 0, 255).astype(np.uint8)


def render(
    stage: Stage,
    pose: tuple[float, float, float],
    time: float,
    rng: np.random.Generator,
    reach: float = 200.0,
    stamp_ns: int = 0,
) -> Scene:
    """One frame from `pose` (x, y, yaw) at `time` seconds; unknowns further ahead than `reach` metres fade out."""
    world = stage.world
    camera = replace(stage.camera, x=pose[0], y=pose[1], yaw=pose[2])
    canvas = Canvas(stage.background.copy(), stage.background_ids.copy(), camera, world.light.haze)
    visible = [(thing, 1.0) for thing in world.things if -4 < forward(thing, camera.x, time) < SIGHT]
    unknowns = [thing for thing in world.unknowns if 0 < forward(thing, camera.x, time) < reach]
    for thing in unknowns:
        alpha = float(np.clip((reach - forward(thing, camera.x, time)) / (0.15 * reach), 0, 1))
        visible.append((thing if alpha >= 1 else replace(thing, ident=FADING), alpha))
    # Behind the street's edge first, then the edge, then what is on the street; each far to near.
    visible.sort(key=lambda pair: (pair[0].layer, -forward(pair[0], camera.x, time)))
    paint_ground(canvas, world.ground, stage.view)
    _shade(canvas, stage, visible, time)
    light = _light(world)
    for thing, alpha in visible:
        paint(canvas, thing, time, light, alpha)
    if stage.hood is not None:
        outline = np.round(stage.hood * 16).astype(np.int32)
        cv2.fillPoly(canvas.image, [outline], (32.0, 33.0, 36.0), cv2.LINE_AA, 4)
        cv2.fillPoly(canvas.ids, [outline], VOID, cv2.LINE_8, 4)
    image = stage.sensor.develop(canvas.image, rng)
    return _scene(image, canvas.ids, unknowns, camera, stamp_ns)


def _light(world: World) -> tuple[float, float, float]:
    towards = (
        np.array([-world.light.sun[0], -world.light.sun[1], 1.0]) if world.light.sun else np.array([0.0, 0.0, 1.0])
    )
    return tuple(towards / np.linalg.norm(towards))


def _shade(canvas: Canvas, stage: Stage, visible: list, time: float) -> None:
    """Shadows and haze over the ground."""
    light = stage.world.light
    rows = slice(stage.view.top, None)
    mask = np.full(canvas.ids.shape, 255, np.uint8)
    cast = np.full(canvas.ids.shape, 255, np.uint8)
    for thing, alpha in visible:
        if thing.layer == 2 or light.sun is not None:
            shadow(mask, cast, canvas, thing, time, light.sun, light.shade, alpha)
    mask = cv2.multiply(
        cv2.GaussianBlur(mask[rows], (0, 0), 1.6), cv2.GaussianBlur(cast[rows], (0, 0), 0.8), scale=1 / 255
    )
    ground = cv2.multiply(canvas.image[rows], cv2.merge([mask] * 3), scale=1 / 255)
    share = np.clip(light.haze.share(stage.view.forward[:, 0]), 0, 1).astype(np.float32)[:, None, None]
    if float(share.max(initial=0.0)) > 0.02:
        veil = np.array(light.haze.color, np.float32) * share
        wide = np.ones((1, ground.shape[1], 1), np.float32)
        ground = cv2.add(
            cv2.multiply(ground, ((1 - share) * wide).repeat(3, 2), dtype=cv2.CV_8U), (veil * wide), dtype=cv2.CV_8U
        )
    canvas.image[rows] = ground


def _scene(image: np.ndarray, ids: np.ndarray, unknowns: list[Upright], camera: Camera, stamp_ns: int) -> Scene:
    """Split the id map into labels, anomaly and the list of obstacles."""
    areas = np.bincount(ids.ravel(), minlength=256)
    table = np.zeros(256, np.uint8)
    table[[FADING, VOID]] = 255
    found = []
    for thing in unknowns:
        area = int(areas[thing.ident])
        table[thing.ident] = 1 if area >= MIN_AREA else 255
        if area < MIN_AREA:
            continue
        x, y, w, h = cv2.boundingRect((ids == thing.ident).view(np.uint8))
        base = np.array([[thing.x, thing.y, 0.0]])
        foot = camera.pixels(camera.optical(base))[0]
        distance = float(np.hypot(thing.x - camera.x, thing.y - camera.y))
        found.append(SceneObstacle((x, y, x + w, y + h), distance, area, thing.kind, (float(foot[0]), float(foot[1]))))
    labels = np.where((ids >= FIRST_UNKNOWN) | (ids == FADING), np.uint8(255), ids).astype(np.uint8)
    found.sort(key=lambda obstacle: obstacle.distance_m)
    return Scene(
        image,
        labels,
        cv2.LUT(ids, table),
        tuple(found),
        camera.matrix,
        camera.mount_height,
        camera.mount_pitch,
        stamp_ns,
    )
