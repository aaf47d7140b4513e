"""Several heads, one score: members keep their own answers, and a decoder of their own leaves the classes alone."""

from __future__ import annotations

import copy

import pytest
import torch

from oodseg_ros.errors import BundleError
from oodseg_ros.networks.heads.ensemble import with_member


def test_the_score_is_the_mean_of_the_members_in_their_own_deviations(small_specs, build):
    network, images = build(small_specs["ensemble_lite"])
    head = network.head
    with torch.no_grad():
        head.members[0].head.final.weight.normal_()
        head.mean.copy_(torch.tensor([1.0, -2.0]))
        head.deviation.copy_(torch.tensor([0.5, 4.0]))
        alone = [with_member(network, index)(images).score for index in (0, 1)]
        together = network(images)
        assert not torch.allclose(alone[0], alone[1])
        torch.testing.assert_close(together.score, ((alone[0] - 1) / 0.5 + (alone[1] + 2) / 4) / 2)
        before = together.logits
        for parameter in head.members[1].decoder.parameters():
            parameter.add_(0.1)
        moved = network(images)
    assert torch.equal(moved.logits, before)  # the classes have a decoder of their own
    assert not torch.allclose(moved.score, together.score)


def test_a_member_may_weigh_more(small_specs, build):
    spec = copy.deepcopy(small_specs["ensemble_lite"])
    spec["head"]["members"][1]["weight"] = 3
    network, images = build(spec)
    with torch.no_grad():
        network.head.members[0].head.final.weight.normal_()
        alone = [with_member(network, index)(images).score for index in (0, 1)]
        torch.testing.assert_close(network(images).score, (alone[0] + 3 * alone[1]) / 4)


@pytest.mark.parametrize("stride", [2, 4])
def test_a_smaller_output_is_the_members_smaller_output(small_specs, build, stride):
    network, images = build(small_specs["ensemble_lite"])
    with torch.no_grad():
        alone = [with_member(network, index)(images, stride).score for index in (0, 1)]
        score = network(images, stride).score
    assert score.shape[-1] == images.shape[-1] // stride
    torch.testing.assert_close(score, sum(alone) / 2)


def test_own_decoders_start_as_the_networks(small_specs, build):
    network, images = build(small_specs["ensemble_lite"])
    network.head.initialize_from(network.decoder)
    member = with_member(network, 1)
    with torch.no_grad():
        assert torch.equal(member(images).logits, network(images).logits)
    assert member.decoder is not network.decoder


@pytest.mark.parametrize("index", [0, 1])
def test_a_single_member_is_its_head_standardised(small_specs, build, index):
    spec = copy.deepcopy(small_specs["ensemble_lite"])
    spec["head"]["members"] = [spec["head"]["members"][index]]
    network, images = build(spec)
    with torch.no_grad():
        network.head.mean.fill_(3.0)
        network.head.deviation.fill_(2.0)
        torch.testing.assert_close(network(images).score, (with_member(network, 0)(images).score - 3) / 2)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda members: [], "needs members"),
        (lambda members: [members[0], members[1] | {"score": "entropy"}], "'entropy' is not one of"),
        (lambda members: [members[0], {"head": {"name": "nothing"}, "score": "x"}], "unknown head 'nothing'"),
        (lambda members: [members[0], members[1] | {"decoder": {"name": "nothing"}}], "unknown decoder 'nothing'"),
        (lambda members: [members[0], {}], "missing"),
        (lambda members: [members[0] | {"weight": 0.0}, members[1]], "weight of a member must be above 0"),
    ],
)
def test_members_that_cannot_be_are_refused_with_a_sentence(small_specs, build, change, text):
    spec = copy.deepcopy(small_specs["ensemble_lite"])
    spec["head"]["members"] = change(spec["head"]["members"])
    with pytest.raises(BundleError, match=text):
        build(spec)


def test_a_member_that_is_not_there(small_specs, build):
    network, _ = build(small_specs["rpl_lite"])
    with pytest.raises(ValueError, match="no member 0; it has 0"):
        with_member(network, 0)
