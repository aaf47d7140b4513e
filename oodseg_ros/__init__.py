"""oodseg_ros: semantic segmentation that says what it was never taught."""

__version__ = "0.1.0"
