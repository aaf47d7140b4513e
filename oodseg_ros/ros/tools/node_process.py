"""The node `perception` in a process of its own, for whoever needs one: the demo, tests, benchmarks."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ...errors import UserError
from ...paths import share_dir
from ..node import launching


class NodeProcess:
    """Starts on construction, ends with `stop` or the context.

    Args:
        parameters: name → value, as in a parameter file.
        folder: gets `node.yaml` (the parameters) and `node.log` (what the node says).
        namespace: of the node.
    """

    def __init__(self, parameters: Mapping[str, Any], folder: Path, namespace: str) -> None:
        self.log = folder / "node.log"
        file = folder / "node.yaml"
        file.write_text(yaml.safe_dump({"/**": {"ros__parameters": dict(parameters)}}, sort_keys=False))
        program, arguments = launching.node_command(None)
        ros_arguments = ["--ros-args", "--params-file", str(file), "-r", f"__ns:={namespace}"]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [program, *arguments, *ros_arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **launching.dds_profile(os.environ, share_dir())},
                # Ctrl-C is for the one who started the node: it stops the node when it has what it needs.
                start_new_session=True,
            )

    def __enter__(self) -> NodeProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def check(self) -> None:
        """Do nothing while the node lives.

        Raises:
            UserError: it has ended; the text holds the end of its log.
        """
        code = self._process.poll()
        if code is not None:
            lines = self.log.read_text(errors="replace").strip().splitlines()[-8:]
            raise UserError(f"the node ended with status {code}; the end of {self.log}:\n" + "\n".join(lines))

    def stop(self, patience: float = 20.0) -> int:
        """Interrupt the node, kill it if it does not end within `patience` seconds; returns its exit status."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
