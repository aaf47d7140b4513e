"""A bounded choice of pictures out of a stream of unknown length: evenly spread ones, and those of marked stamps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...pages import jpeg

EVEN = 12
"""At most twice as many evenly spread pictures are kept."""
MARKED = 12
"""At most as many marked ones: the first alert changes are worth more than the hundredth."""


@dataclass(frozen=True)
class Picture:
    """A picture of the gallery: JPEG bytes, camera and the stamp of its frame in nanoseconds."""

    camera: str
    stamp_ns: int
    jpeg: bytes
    marked: bool = False


class Gallery:
    """Memory stays bounded: pictures are stored as JPEG, and every second even one goes when there are too many."""

    def __init__(self) -> None:
        self._even: list[Picture] = []
        self._marked: list[Picture] = []
        self._wanted: set[tuple[str, int]] = set()
        self._recent: dict[str, Picture] = {}
        self._stride, self._seen = 1, 0

    def mark(self, camera: str, stamp_ns: int) -> None:
        """Keep the picture of this stamp, whether it has just come or is about to."""
        recent = self._recent.get(camera)
        if recent is not None and recent.stamp_ns == stamp_ns:
            self._keep_marked(recent)
        elif stamp_ns and len(self._wanted) < 4 * MARKED:
            self._wanted.add((camera, stamp_ns))

    def offer(self, camera: str, stamp_ns: int, image: np.ndarray) -> None:
        """Give an RGB uint8 picture `[H, W, 3]`."""
        picture = Picture(camera, stamp_ns, jpeg(image, 88))
        self._recent[camera] = picture
        if (camera, stamp_ns) in self._wanted:
            self._wanted.discard((camera, stamp_ns))
            self._keep_marked(picture)
        if self._seen % self._stride == 0:
            self._even.append(picture)
        self._seen += 1
        if len(self._even) > 2 * EVEN:
            self._even = self._even[::2]
            self._stride *= 2

    def pictures(self) -> list[Picture]:
        """The kept ones in time order, none twice."""
        marked = {(picture.camera, picture.stamp_ns) for picture in self._marked}
        even = [picture for picture in self._even if (picture.camera, picture.stamp_ns) not in marked]
        step = max(1, -(-len(even) // EVEN))
        return sorted([*even[::step], *self._marked], key=lambda picture: (picture.stamp_ns, picture.camera))

    def _keep_marked(self, picture: Picture) -> None:
        known = any((other.camera, other.stamp_ns) == (picture.camera, picture.stamp_ns) for other in self._marked)
        if len(self._marked) < MARKED and not known:
            self._marked.append(Picture(picture.camera, picture.stamp_ns, picture.jpeg, True))
