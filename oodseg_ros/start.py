"""Where the processes of this package begin. Light on purpose: what they import takes seconds, and Ctrl-C ends it."""

from __future__ import annotations

import os
import signal
from importlib import import_module

INTERRUPTED = 130
"""Exit status of what Ctrl-C ended, as shells have it."""


def quiet_interrupt() -> None:
    """From now on SIGINT ends the process with `INTERRUPTED` and without a traceback, until another handler is set.

    At once, not by KeyboardInterrupt: raised while modules are imported it comes out of libraries as other errors.
    SIGINT that the parent has set to be ignored (`nohup … &`) stays ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))


def interruptible() -> None:
    """SIGINT raises KeyboardInterrupt again, so that what is at work can clean up."""
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def oodseg() -> None:
    """The command `oodseg`."""
    quiet_interrupt()
    import_module(".cli.main", __package__).main()


def perception() -> None:
    """The executable `perception`."""
    quiet_interrupt()
    import_module(".ros.perception", __package__).main()
