"""The node's process as the harness holds it: started, told, limited, signaled, respawned."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ....errors import UserError
from ..node_process import end_node, start_node


class FaultProcess:
    """Starts on construction.

    Args:
        folder: gets `node.yaml` and `node.log`.
    """

    def __init__(self, parameters: Mapping[str, Any], folder: Path, namespace: str) -> None:
        # No log files: a limit of file sizes must hit the recorder, not rcl's logger.
        command = [sys.executable, "-m", f"{__package__}.node", "--ros-args", "--disable-external-lib-logs", "--"]
        self.process = start_node(command, parameters, folder, namespace, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._log = folder / "node.log"
        threading.Thread(target=self._drain, daemon=True).start()

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def tell(self, line: str) -> None:
        """Send one command of `tools.faults.node` to the process.

        Raises:
            UserError: the process is gone.
        """
        try:
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()
        except OSError as error:
            raise UserError(f"the node has ended with status {self.process.poll()}; see {self._log}") from error

    def signal(self, name: str) -> None:
        self.process.send_signal(getattr(signal, name))

    def limit_files(self, size: int | None) -> None:
        """From now on no file of the process may grow beyond `size` bytes; None = as before."""
        _, hard = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (hard if size is None else size, hard))

    def wait(self, seconds: float) -> int | None:
        """Exit status, or None if it lives on."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def end(self) -> None:
        """SIGINT, then SIGKILL."""
        end_node(self.process)
        self.process.stdin.close()

    def _drain(self) -> None:
        with self._log.open("ab") as log:
            for line in self.process.stdout:
                log.write(line)
                log.flush()
