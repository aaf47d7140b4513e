"""Where the processes of this package begin: Ctrl-C ends them quietly while they still import, which takes seconds."""

from __future__ import annotations

from importlib import import_module

from .process import begin_node, quiet_interrupt


def oodseg() -> None:
    """The command `oodseg`."""
    quiet_interrupt()
    import_module(".cli.main", __package__).main()


def perception() -> None:
    """The executable `perception`."""
    begin_node()
    import_module(".ros.perception", __package__).main()
