"""The alert's conditions: sequences by hand, and rules that hold for every sequence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oodseg_ros.frame import AlertState
from oodseg_ros.parameters.settings import ObstacleSettings
from oodseg_ros.pipeline.alert import AlertMachine, worst_case_reaction, worst_case_release

CLEAR, OBSTACLE, UNKNOWN = AlertState.CLEAR, AlertState.OBSTACLE, AlertState.UNKNOWN


def play(machine: AlertMachine, frames: str) -> list[tuple[AlertState, str]]:
    """`x` = a frame with an obstacle, `.` = a clear one, `?` = one that cannot be judged."""
    return [machine.unknown("fault") if frame == "?" else machine.judged(frame == "x") for frame in frames]


def states(frames: str, **settings) -> str:
    letters = {CLEAR: "C", OBSTACLE: "O", UNKNOWN: "U"}
    return "".join(letters[state] for state, _ in play(AlertMachine(ObstacleSettings(**settings)), frames))


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ("...", "UUC"),
        ("xx", "UO"),
        ("x.x", "UUO"),
        ("x..", "UUC"),
        ("...x..x..", "UUCCCCCCC"),  # one hit in three never triggers
        ("...xx", "UUCCO"),
        ("...x.x", "UUCCCO"),
        ("xx...", "UOOOC"),
        ("xx..x...", "UOOOOOOC"),  # a hit starts the release anew
        ("xx...x", "UOOOCC"),  # spent hits do not count again
        ("...?...", "UUCUUUC"),
        ("xx?.", "UOUO"),  # a fault does not end an alert
        ("xx..?.", "UOOOUO"),
        ("xx..?...", "UOOOUOOC"),
        ("...x?x", "UUCCUO"),  # hits before a fault still count
        ("?????", "UUUUU"),
    ],
)
def test_sequences_of_the_default_settings(frames, expected):
    assert states(frames) == expected


def test_one_of_one_answers_every_frame_by_itself():
    assert states(".x.xx?.x", trigger_hits=1, trigger_window=1, release_frames=1) == "COCOOUCO"


def test_release_shorter_than_the_window_does_not_flicker():
    assert states("xx..x", trigger_hits=2, trigger_window=5, release_frames=2) == "UOOCC"


def test_reasons_tell_the_way():
    machine = AlertMachine(ObstacleSettings())
    reasons = [reason for _, reason in play(machine, "...x.xx...?.")]
    assert reasons == [
        *("starting", "starting", "ok", "confirming", "ok", "obstacle", "obstacle"),
        *("releasing", "releasing", "ok", "fault", "recovering"),
    ]


def test_reset_is_a_new_start():
    machine = AlertMachine(ObstacleSettings())
    play(machine, "xx")
    machine.reset()
    assert play(machine, ".x.") == [(UNKNOWN, "starting"), (UNKNOWN, "starting"), (CLEAR, "ok")]


frames = st.text("x.?", max_size=60)
windows = st.integers(1, 6).flatmap(lambda m: st.tuples(st.integers(1, m), st.just(m), st.integers(1, 6)))


@given(frames, windows)
def test_rules_of_every_sequence(sequence, window):
    hits, size, release = window
    settings = ObstacleSettings(trigger_hits=hits, trigger_window=size, release_frames=release)
    answers = play(AlertMachine(settings), sequence)
    previous = UNKNOWN
    alarmed = False
    for index, (frame, (state, _)) in enumerate(zip(sequence, answers, strict=True)):
        judged = [f for f in sequence[: index + 1] if f != "?"]
        if frame == "?":
            assert state is UNKNOWN
        if state is OBSTACLE and previous is CLEAR:
            assert frame == "x"
            assert judged[-size:].count("x") >= hits
        if state is CLEAR and alarmed:
            # No way from an alert to CLEAR without enough clear frames in a row, fault or not.
            assert sequence[: index + 1].endswith("." * release)
        alarmed = state is OBSTACLE or (alarmed and state is not CLEAR)
        previous = state


@given(st.text("x.", max_size=40), windows, st.text("x.", min_size=1, max_size=6))
def test_reaction_is_never_later_than_the_worst_case(before, window, found):
    """Whatever came before, M frames of which N find the object end in OBSTACLE."""
    hits, size, release = window
    found = (found * size)[:size]
    settings = ObstacleSettings(trigger_hits=hits, trigger_window=size, release_frames=release)
    answers = play(AlertMachine(settings), before + found)[len(before) :]
    if found.count("x") >= hits:
        assert OBSTACLE in [state for state, _ in answers]


def test_worst_cases_in_seconds():
    settings = ObstacleSettings(trigger_hits=2, trigger_window=3, release_frames=5)
    assert worst_case_reaction(settings, 0.1, 0.08) == pytest.approx(0.38)
    assert worst_case_release(settings, 0.1, 0.08) == pytest.approx(0.58)
