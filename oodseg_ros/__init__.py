"""oodseg_ros: semantic segmentation that says what it was never taught."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import Perception as Perception
    from .api import Result as Result
    from .api import load as load

__version__ = "0.1.0"
__all__ = ["Perception", "Result", "load"]


def __getattr__(name: str) -> Any:
    # Late: whoever wants the version, or one room, does not wait for an engine.
    if name in __all__:
        from . import api

        return getattr(api, name)
    raise AttributeError(f"module 'oodseg_ros' has no attribute {name!r}")
