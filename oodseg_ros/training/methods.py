"""The training methods by the name that a recipe uses. A new one is a file under `stages/` and a line here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .stages.stage import Stage

# name: "module:class" under stages/
METHODS = {
    "drl": "drl:DrlStage",
    "entropy_max": "exposure:EntropyMaxStage",
    "inlier": "inlier:InlierStage",
    "inlier_gmm": "inlier:InlierGmmStage",
    "joint": "joint:JointStage",
    "outlier_exposure": "exposure:OutlierExposureStage",
    "ovr_topk": "ovr_topk:OvrTopkStage",
    "pebal": "pebal:PebalStage",
    "rpl": "rpl:RplStage",
    "rpl_corocl": "rpl_corocl:RplCoroclStage",
    "two_stage_a": "two_stage:TwoStageA",
    "two_stage_b": "two_stage:TwoStageB",
    "uem": "uem:UemStage",
}


def stage_class(method: str) -> type[Stage]:
    """The class of a name of `METHODS`; its `Options` say what a recipe may set."""
    module, name = METHODS[method].split(":")
    return getattr(import_module(f"{__package__}.stages.{module}"), name)
