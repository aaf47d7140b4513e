from __future__ import annotations

import pytest

from oodseg_ros.networks.backbones.hf import FETCHING, HfSegmenter


@pytest.mark.parametrize("key", FETCHING)
def test_a_configuration_from_elsewhere_brings_no_code_and_fetches_nothing(key: str) -> None:
    with pytest.raises(ValueError, match=f"code or files from elsewhere.*{key}"):
        HfSegmenter({"model_type": "dpt", key: {"AutoConfig": "evil--x.y"} if key == "auto_map" else True})
