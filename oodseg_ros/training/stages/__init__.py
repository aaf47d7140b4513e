"""One training method per file; `STAGES` by the name that a recipe uses."""

from .drl import DrlStage
from .entropy_max import EntropyMaxStage
from .inlier import InlierStage
from .inlier_gmm import InlierGmmStage
from .joint import JointStage
from .outlier_exposure import OutlierExposureStage
from .ovr_topk import OvrTopkStage
from .pebal import PebalStage
from .rpl import RplStage
from .rpl_corocl import RplCoroclStage
from .stage import Stage
from .two_stage import TwoStageA, TwoStageB
from .uem import UemStage

STAGES: dict[str, type[Stage]] = {
    "drl": DrlStage,
    "entropy_max": EntropyMaxStage,
    "inlier": InlierStage,
    "inlier_gmm": InlierGmmStage,
    "joint": JointStage,
    "outlier_exposure": OutlierExposureStage,
    "ovr_topk": OvrTopkStage,
    "pebal": PebalStage,
    "rpl": RplStage,
    "rpl_corocl": RplCoroclStage,
    "two_stage_a": TwoStageA,
    "two_stage_b": TwoStageB,
    "uem": UemStage,
}
