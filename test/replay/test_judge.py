"""Which cameras of a source are judged, and with which parameters."""

from __future__ import annotations

import pytest

from oodseg_ros.errors import ConfigError
from oodseg_ros.replay.judge import settings_of


def test_cameras_of_parameters_and_source_that_do_not_fit_are_said() -> None:
    names = ("front", "rear")
    settings, notes = settings_of({"cameras": ["front", "left"]}, names)
    assert settings.names == ("front",)
    assert any("camera left of the parameters is not in the source" in note for note in notes)
    assert any("camera rear of the source is not judged" in note for note in notes)
    with pytest.raises(ConfigError, match=r"cameras left are not in the source; it has front, rear"):
        settings_of({"cameras": ["left"]}, names)
    assert settings_of({"cameras": ["left"], "left.priority": 4}, ["video"])[0].camera("video").priority == 4
