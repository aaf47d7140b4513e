"""What every command that reports has in common: text for people, `--json` for scripts, `-q` for neither."""

from __future__ import annotations

import json as jsons
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from ..errors import ConfigError, counted
from ..paths import plain
from ..process import INTERRUPTED
from ..signatures import is_signed

if TYPE_CHECKING:
    from ..inference.runner import Runner


EVIDENCE_LOST = (
    "the bundle has no table for alert_rule: evidence any more: it was of other candidates; see oodseg "
    "calibrate-objects --objects"
)

METRICS_LOST = (
    "the card's metrics were of the calibration of before; the bundle has none now (oodseg evaluate --record)"
)


class Output:
    """Where a command prints.

    Attributes:
        console: for people; silent with `--json` and with `-q`.
    """

    def __init__(self, json: bool, quiet: bool) -> None:
        self._json = json
        self.console = Console(quiet=json or quiet, emoji=False)
        self._problems = self.console if not (json or quiet) else Console(stderr=True, emoji=False)

    def say(self, what: str | Table) -> None:
        """Print a line of markup, which is not wrapped: it shall be copied whole; or a table."""
        if isinstance(what, str):
            self.console.print(what, highlight=False, soft_wrap=True)
        else:
            self.console.print(what)

    def facts(self, rows: Mapping[str, str], title: str | None = None) -> None:
        """Print a table of names and values, both as they are."""
        facts = table(title=title)
        for name, value in rows.items():
            facts.add_row(name, escape(value))
        self.console.print(facts)

    def warn(self, text: str) -> None:
        """Print a problem, also with `-q`; on stderr where stdout is for a script."""
        self._problems.print(f"[yellow]{escape(text)}[/]", highlight=False, soft_wrap=True)

    def result(self, data: dict[str, Any]) -> None:
        """Print the result where `--json` asks for it; nan and infinities become null, because JSON has none."""
        if self._json:
            typer.echo(jsons.dumps(plain(data), indent=1, allow_nan=False))

    @contextmanager
    def interruptible(self, text: Callable[[], str], problem: bool = False) -> Iterator[None]:
        """What Ctrl-C ends in here says what is left and what to do, and ends the command.

        Args:
            text: called then, after `interrupted; `.
            problem: what is left is not whole: told as `warn` does, else as `say`.
        """
        try:
            yield
        except KeyboardInterrupt:
            told = f"interrupted; {text()}"
            if problem:
                self.warn(told)
            else:
                self.say(escape(told))
            raise typer.Exit(INTERRUPTED) from None

    def warn_unsigned(self, bundle: Path, was_signed: bool) -> None:
        """Say that a changed card has cost a bundle its signature; nothing where it had none, or has a new one."""
        if was_signed and not is_signed(bundle):
            self.warn(
                f"{bundle} was signed, and its card has changed: the signature was removed. Sign it again: "
                f"oodseg sign {bundle} --key PRIVATE_KEY"
            )

    def warn_losses(
        self, skipped: Mapping[str, int], notes: Sequence[str], damage: Sequence[str] = (), missing: int = 0
    ) -> None:
        """Say what of a source was not judged or not read, and what a person should know of it."""
        from ..pipeline.geometry.source import NO_POSITION

        for line in counted(skipped, 5, "{} frames skipped: {}"):
            self.warn(line)
        if missing:
            self.warn(f"{missing} frames are missing")
        for text in damage:
            self.warn(f"damage: {text}")
        for note in notes[:10]:
            self.warn(f"note: {note}")
        if len(notes) > 10:
            self.warn(f"and {len(notes) - 10} notes more; --json lists all")
        if any(NO_POSITION in note for note in notes):
            self.warn("note: --camera-height METRES, --camera-pitch and --fov give them one, where the ground is flat")

    def warn_left_out(self, reasons: Mapping[str, str]) -> None:
        """Say which frames were left out and why; `reasons`: frame → why."""
        for name, why in list(reasons.items())[:5]:
            self.warn(f"{name}: {why}")
        if len(reasons) > 5:
            self.warn(f"and {len(reasons) - 5} frames more were left out, {len(reasons)} in all; --json lists all")

    def progress(self, *columns: str | ProgressColumn) -> Progress:
        """A bar that is gone at the end; nothing at all where nobody watches (a log, a pipe, `--json`, `-q`).

        `columns`: none = so many of so many, and how long it still takes.
        """
        watched = self.console.is_terminal and not self.console.quiet
        columns = columns or (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        return Progress(*columns, console=self.console, transient=True, disable=not watched)

    def frame_count(self) -> Progress:
        """The same for frames of which nobody knows how many there are."""
        frames = TextColumn("{task.completed} frames")
        return self.progress(SpinnerColumn(), TextColumn("{task.description}"), frames, TimeElapsedColumn())

    def load(self, *bundles: Any, **options: Any) -> list[Runner]:
        """Runners of bundles, see `Runner.load`; the seconds that it takes have a name on the terminal."""
        from ..inference.runner import Runner

        runners = []
        for bundle in bundles:
            with self.console.status(f"loading {escape(str(bundle))}"):
                runners.append(Runner.load(bundle, **options))
        return runners


def stages(bar: Progress) -> Callable[[str], AbstractContextManager[None]]:
    """For `Runner.preparing`: what a runner prepares has a line of its own under the bar while it lasts."""

    @contextmanager
    def stage(text: str) -> Iterator[None]:
        task = bar.add_task(escape(text), total=None)
        try:
            yield
        finally:
            bar.remove_task(task)

    return stage


def table(*titles: str, title: str | None = None, numbers: bool = False) -> Table:
    """A table whose cells are never cut: what does not fit goes on in the next line.

    Args:
        titles: of the columns; none = two columns without titles, names and values.
        numbers: all columns but the first are aligned right.
    """
    made = Table(title=title, show_header=bool(titles), title_justify="left")
    for index, text in enumerate(titles or ("", "")):
        made.add_column(text, overflow="fold", justify="right" if numbers and index else "left")
    if not titles:
        made.columns[0].no_wrap = True
    return made


def refuse_overwriting(out: Path, names: tuple[str, ...], overwrite: bool) -> None:
    """Refuse to replace the results of an earlier run unless `overwrite` is set.

    Raises:
        ConfigError: `out` holds one of the files `names`, of an earlier run.
    """
    there = [name for name in names if (out / name).exists()]
    if there and not overwrite:
        raise ConfigError(f"{out} holds {there[0]} of an earlier run; give another --out, or --overwrite to replace it")


def refuse_existing(out: Path | None) -> None:
    """Refuse a folder that exists; call it before the work.

    Raises:
        ConfigError: `out` is there already; None = there is no such folder to be made.
    """
    if out is not None and out.exists():
        raise ConfigError(f"{out} exists; give another --out")
