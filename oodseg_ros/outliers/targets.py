"""Values of a training target, uint8 `[H, W]`, that are no class id; 255 (`frame.UNLABELED`) is not counted."""

OUTLIER = 254
"""An unknown."""
KNOWN = 253
"""Known to be an inlier, but not of which class."""
