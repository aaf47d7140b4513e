"""Times: builtin_interfaces/Time and nanoseconds since the epoch."""

from __future__ import annotations

from builtin_interfaces.msg import Time

_SECOND = 1_000_000_000


def to_ns(stamp: Time) -> int:
    """Nanoseconds of a message time."""
    return stamp.sec * _SECOND + stamp.nanosec


def to_stamp(ns: int) -> Time:
    """Message time of nanoseconds, which must lie in its range (int32 seconds)."""
    return Time(sec=ns // _SECOND, nanosec=ns % _SECOND)
