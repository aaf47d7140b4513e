"""Procedural road scenes with exact ground truth: no assets, every byte follows from the seed."""

from .drive import EPOCH_NS, drive, scene
from .values import LABEL_SET, Scene, SceneObstacle

__all__ = ["EPOCH_NS", "LABEL_SET", "Scene", "SceneObstacle", "drive", "scene"]
