"""COCO classes that are no unknowns on a road, because a driving label set has them.

A proxy set of unknowns must not show them; and what is pasted in training should not be what a test set asks for.
"""

KNOWN_IN_CITYSCAPES = ("person", "bicycle", "car", "motorcycle", "bus", "truck", "traffic light", "stop sign")
"""Pictures with any of these are dropped from the published COCO proxy (PEBAL and its successors)."""

OVERLOOKED = ("train",)
"""Also a Cityscapes class, but the published rule keeps pictures with it; add it to drop them too."""
