"""Errors that are written for the person who reads them: what was wrong, where, what to do.

Everything a user can cause (a bad image, bag, YAML, checkpoint, parameter or engine) raises a subclass of `UserError`.
The command line prints its text without a traceback; the node logs it once per kind and lives on.
"""

from collections.abc import Mapping, Sequence


class UserError(Exception):
    """Something outside the program is wrong; the text says what, where and what to do."""


def why(error: BaseException) -> str:
    """An error's own words, for a sentence that names the file already: no `[Errno 2]`, no path for a second time.

    >>> why(FileNotFoundError(2, "No such file or directory", "a.mcap"))
    'No such file or directory'
    """
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def listed(items: Sequence[object], most: int = 8, between: str = ", ") -> str:
    """The first ones in a line, and how many more there are; "" of none.

    >>> listed("abc", 2)
    'a, b and 1 more'
    """
    return between.join(map(str, items[:most])) + (f" and {len(items) - most} more" if len(items) > most else "")


def counted(counts: Mapping[str, int], most: int, words: str = "{} skipped ({})") -> list[str]:
    """What happened how often, the commonest first, and how often something else did, of how many in all.

    >>> counted({"too dark": 2, "torn": 1}, 1)
    ['2 skipped (too dark)', 'and 1 more, 3 in all']
    """
    ranked = sorted(counts.items(), key=lambda entry: -entry[1])
    rest = sum(count for _, count in ranked[most:])
    told = [words.format(count, what) for what, count in ranked[:most]]
    return told + [f"and {rest} more, {sum(counts.values())} in all"] * (rest > 0)


class BundleError(UserError):
    """A bundle is missing, malformed, tampered with, or of another schema than this version reads."""


class CheckpointError(UserError):
    """A checkpoint cannot be read safely, or does not hold what its kind should hold."""


class ImageError(UserError):
    """An image or image message cannot be turned into a frame."""


class EngineError(UserError):
    """An inference engine is missing, foreign, or gives other answers than the bundle's golden frame."""


class ConfigError(UserError):
    """A parameter, recipe or label file holds a wrong key, type or value."""


class DatasetError(UserError):
    """A dataset folder has another layout, count or label values than its format says."""


class BagError(UserError):
    """A bag cannot be read, or lacks the topics that were asked for."""
