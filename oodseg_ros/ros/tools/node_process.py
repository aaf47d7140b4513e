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


def start_node(
    command: list[str], parameters: Mapping[str, Any], folder: Path, namespace: str, **streams: Any
) -> subprocess.Popen[bytes]:
    """Start a node in a session of its own: Ctrl-C is for the one who started it, and stops it when he is done.

    Args:
        command: what starts it, without ROS arguments.
        parameters: name → value; they go into `folder/node.yaml`.
        streams: its standard input and output, as `subprocess.Popen` takes them; errors go where the output goes.
    """
    file = folder / "node.yaml"
    file.write_text(yaml.safe_dump({"/**": {"ros__parameters": dict(parameters)}}, sort_keys=False))
    command = [*command, "--ros-args", "--params-file", str(file), "-r", f"__ns:={namespace}"]
    environment = {**os.environ, **launching.dds_profile(os.environ, share_dir())}
    return subprocess.Popen(command, stderr=subprocess.STDOUT, env=environment, start_new_session=True, **streams)


def end_node(process: subprocess.Popen[bytes], patience: float = 20.0) -> int:
    """Interrupt a node, kill it if it does not end within `patience` seconds; returns its exit status."""
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGINT)
    try:
        return process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


class NodeProcess:
    """Starts on construction, ends with the context.

    Args:
        parameters: name → value, as in a parameter file.
        folder: gets `node.yaml` (the parameters) and `node.log` (what the node says).
    """

    def __init__(self, parameters: Mapping[str, Any], folder: Path, namespace: str) -> None:
        self.log = folder / "node.log"
        program, arguments = launching.node_command(None)
        with self.log.open("wb") as log:
            self._process = start_node(
                [program, *arguments], parameters, folder, namespace, stdin=subprocess.DEVNULL, stdout=log
            )

    def __enter__(self) -> NodeProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> int:
        """End it; returns its exit status."""
        return end_node(self._process)

    def check(self) -> None:
        """Do nothing while the node lives.

        Raises:
            UserError: it has ended; the text holds the end of its log.
        """
        code = self._process.poll()
        if code is not None:
            lines = self.log.read_text(errors="replace").strip().splitlines()[-8:]
            raise UserError(f"the node ended with status {code}; the end of {self.log}:\n" + "\n".join(lines))
