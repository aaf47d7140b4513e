"""config/fastdds_shm.xml says what DDS needs for large images; that they arrive is tested with the node."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from oodseg_ros.paths import config_dir

FULL_HD = 1920 * 1080 * 3


@pytest.fixture(scope="module")
def profile() -> ElementTree.Element:
    root = ElementTree.parse(config_dir() / "fastdds_shm.xml").getroot()
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def transports(profile: ElementTree.Element) -> dict[str, ElementTree.Element]:
    return {element.findtext("type"): element for element in profile.iter("transport_descriptor")}


def test_shared_memory_holds_several_images(profile):
    shared = transports(profile)["SHM"]
    assert int(shared.findtext("segment_size")) == 64 << 20
    assert int(shared.findtext("maxMessageSize")) == 32 << 20
    assert int(shared.findtext("segment_size")) > 8 * FULL_HD


def test_other_machines_are_not_cut_off(profile):
    udp = transports(profile)["UDPv4"]
    assert udp.find("interfaceWhiteList") is None
    assert int(udp.findtext("maxInitialPeersRange")) >= 32


def test_the_default_participant_uses_exactly_these(profile):
    participant = profile.find("profiles/participant")
    assert participant.get("is_default_profile") == "true"
    used = [element.text for element in participant.iter("transport_id")]
    assert used == [element.findtext("transport_id") for element in transports(profile).values()]
    assert participant.findtext("rtps/useBuiltinTransports") == "false"
