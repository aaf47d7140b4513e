"""Obstacles with a known ground position → MarkerArray for people, PointCloud2 for costmaps; both in the base frame."""

from __future__ import annotations

import array
import math
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from builtin_interfaces.msg import Duration
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from ...frame import Obstacle

if TYPE_CHECKING:
    from ...pipeline.geometry.ground import CameraGeometry

BASE_FRAME = "base_link"
POINT_SPACING = 0.05
"""Metres between neighbouring points of one obstacle: the cell size of a usual costmap."""

MAX_POINTS = 200
"""Most points per obstacle; a wider one gets a wider spacing."""

_DEFAULT_SIZE = 0.3  # metres, where no geometry tells the size
_SMALLEST, _LARGEST = 0.05, 10.0  # metres; what RViz still shows, and what an obstacle on a road may reasonably measure
MAX_LIFT = 0.5
"""Metres above the ground at which points lie at most: inside of the obstacle, and where a costmap looks."""

_POINT = np.dtype([("x", "f4"), ("y", "f4"), ("z", "f4"), ("score", "f4")])


class Extent(NamedTuple):
    """An obstacle on the ground in metres: foot point, unit vector along its width, reach to both sides, height."""

    foot: np.ndarray
    across: np.ndarray
    left: float
    right: float
    height: float

    @property
    def width(self) -> float:
        return self.left + self.right

    @property
    def middle(self) -> np.ndarray:
        """Centre `[3]` of its width, on the ground."""
        return self.foot + self.across * (self.right - self.left) / 2


def to_markers(
    obstacles: Iterable[Obstacle],
    header: Any,
    geometry: CameraGeometry | None = None,
    frame: str = BASE_FRAME,
    lifetime: float = 0.5,
) -> MarkerArray:
    """First a DELETEALL so that nothing stale stays, then a cylinder and a text for each obstacle of known position.

    Args:
        obstacles: of one frame; those without `ground` are left out.
        header: of the image; its stamp is kept.
        geometry: the camera's; gives width and height. Without it every cylinder has 0.3 m.
        frame: in which the ground positions are given.
        lifetime: seconds until a marker vanishes when no further message comes.
    """
    header = Header(stamp=header.stamp, frame_id=frame)
    clear = Marker(header=header, action=Marker.DELETEALL)
    markers = [clear]
    duration = Duration(sec=int(lifetime), nanosec=int(lifetime % 1 * 1e9))
    for index, (obstacle, extent) in enumerate(placed(obstacles, geometry)):
        for kind, namespace in ((Marker.CYLINDER, "obstacle"), (Marker.TEXT_VIEW_FACING, "label")):
            marker = Marker(header=header, ns=namespace, id=index, type=kind, action=Marker.ADD, lifetime=duration)
            marker.pose.orientation.w = 1.0
            _shape(marker, obstacle, extent)
            markers.append(marker)
    return MarkerArray(markers=markers)


def to_points(
    obstacles: Iterable[Obstacle], header: Any, geometry: CameraGeometry | None = None, frame: str = BASE_FRAME
) -> PointCloud2:
    """Unorganised cloud of float32 x, y, z, score: points along the foot of each obstacle with a known position.

    They lie along the width that the obstacle covers, 5 cm apart, at half its height (at most `MAX_LIFT`): at z = 0 the
    least pitch of the vehicle puts them below a costmap's `min_obstacle_height`. Without `geometry` there is one point
    per obstacle. An empty cloud is a valid answer: nothing there.
    """
    rows = [np.zeros(0, _POINT)]
    for obstacle, extent in placed(obstacles, geometry):
        count = min(MAX_POINTS, 1 + math.ceil(extent.width / POINT_SPACING)) if geometry is not None else 1
        offsets = np.linspace(-extent.left, extent.right, count) if count > 1 else np.zeros(1)
        points = np.empty(count, _POINT)
        points["x"], points["y"], points["z"] = (extent.foot[:, None] + extent.across[:, None] * offsets).astype(
            np.float32
        )
        points["z"] += np.float32(min(extent.height / 2, MAX_LIFT))
        points["score"] = obstacle.score
        rows.append(points)
    return _cloud(np.concatenate(rows), header, frame)


def to_free_ground(ends: np.ndarray, header: Any, frame: str = BASE_FRAME) -> PointCloud2:
    """Cloud of the ends `[N, 2]` (x, y) of lines of free ground, lifted to `MAX_LIFT`, with score 0.

    For a costmap that clears between the camera and each point; it must not mark with them.
    """
    points = np.zeros(len(ends), _POINT)
    points["x"], points["y"] = np.asarray(ends, float).reshape(-1, 2).T
    points["z"] = MAX_LIFT
    return _cloud(points, header, frame)


def _cloud(points: np.ndarray, header: Any, frame: str) -> PointCloud2:
    cloud = PointCloud2()
    cloud.header = Header(stamp=header.stamp, frame_id=frame)
    cloud.height, cloud.width = 1, len(points)
    cloud.fields = [
        PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
        for index, name in enumerate(_POINT.names or ())
    ]
    cloud.is_bigendian = sys.byteorder == "big"
    cloud.point_step = _POINT.itemsize
    cloud.row_step = points.nbytes
    cloud.is_dense = True
    cloud.data = array.array("B", points.tobytes())
    return cloud


def placed(obstacles: Iterable[Obstacle], geometry: CameraGeometry | None) -> Iterator[tuple[Obstacle, Extent]]:
    """Those of known position, with the place that they take up."""
    for obstacle in obstacles:
        if obstacle.ground is not None and all(map(math.isfinite, obstacle.ground.position)):
            yield obstacle, _extent(obstacle, geometry)


def _extent(obstacle: Obstacle, geometry: CameraGeometry | None) -> Extent:
    assert obstacle.ground is not None  # only placed obstacles are given here
    foot = np.asarray(obstacle.ground.position, float)
    foot[np.abs(foot) < 1e-6] = 0.0  # a z of -1e-17 would fall below a costmap's min_obstacle_height of 0
    half = _DEFAULT_SIZE / 2
    if geometry is None:
        return Extent(foot, np.array([0.0, -1.0, 0.0]), half, half, _DEFAULT_SIZE)
    rotation = np.asarray(geometry.rotation)
    depth = float(rotation[:, 2] @ (foot - geometry.translation))
    across = np.array([rotation[0, 0], rotation[1, 0], 0.0])  # the image's x axis, laid on the ground
    across /= max(float(np.linalg.norm(across)), 1e-9)
    x0, y0, x1, y1 = obstacle.box
    meters_x, meters_y = depth / geometry.matrix[0, 0], depth / geometry.matrix[1, 1]
    left, right = (
        min(max(pixels * meters_x, 0.0), _LARGEST) for pixels in (obstacle.foot[0] - x0, x1 - obstacle.foot[0])
    )
    return Extent(foot, across, left, right, min(max((y1 - y0) * meters_y, _SMALLEST), _LARGEST))


def _shape(marker: Marker, obstacle: Obstacle, extent: Extent) -> None:
    x, y, z = extent.middle
    position, color = marker.pose.position, marker.color
    position.x, position.y = float(x), float(y)
    strength = min(max(float(obstacle.score), 0.0), 1.0) if math.isfinite(obstacle.score) else 1.0
    if marker.type == Marker.TEXT_VIEW_FACING:
        position.z = float(z + extent.height) + 0.3
        marker.scale.z = 0.4
        color.r = color.g = color.b = color.a = 1.0
        marker.text = label(obstacle)
        return
    position.z = float(z + extent.height / 2)
    marker.scale.x = marker.scale.y = float(max(extent.width, _SMALLEST))
    marker.scale.z = float(extent.height)
    color.r, color.g, color.b, color.a = 1.0, 1.0 - strength, 0.0, 0.7  # yellow = weak, red = sure


def label(obstacle: Obstacle) -> str:
    """`#7 12.4 m (11.0 to 14.2) 0.93`: track, distance and its interval, score."""
    ground = obstacle.ground
    assert ground is not None
    track = f"#{obstacle.track_id} " if obstacle.track_id else ""
    distance = math.hypot(ground.position[0], ground.position[1])
    return f"{track}{distance:.1f} m ({ground.range_min:.1f} to {ground.range_max:.1f}) {obstacle.score:.2f}"
