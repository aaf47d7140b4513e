"""What an engine was built for, and the side-car that says so."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..errors import EngineError, why

SCHEMA = 1


@dataclass(frozen=True)
class EngineIdentity:
    """What an engine was built for; equal identities can be exchanged, others never.

    Attributes:
        bundle: the model's name; not compared, the weights decide.
        weights: sha256 of its weights, 64 hex digits.
        height, width: of the images, in pixels.
        batch: images per run.
        precision: fp32, fp16, bf16 or int8.
        architecture: the device's, e.g. `sm_89` or `cpu`.
        runtime: engine name, a dash, and the version of what runs it, e.g. `tensorrt-10.15.1`.
        code: `graph_cache.code_digest()`, 64 hex digits.
    """

    bundle: str
    weights: str
    height: int
    width: int
    batch: int
    precision: str
    architecture: str
    runtime: str
    code: str

    @property
    def stem(self) -> str:
        """File name without suffix."""
        return (
            f"{self.bundle}-{self.weights[:12]}-{self.width}x{self.height}-b{self.batch}-{self.precision}"
            f"-{self.architecture}-{self.runtime}-{self.code[:8]}"
        )

    @property
    def engine(self) -> str:
        """The engine's name, as `Runner.load` and `oodseg build` know it."""
        return self.runtime.partition("-")[0]

    @property
    def command(self) -> str:
        """The command that builds this engine on this machine, for a bundle that its name finds."""
        return self.command_for(self.bundle)

    def command_for(self, bundle: str) -> str:
        """The same for a bundle given by its path."""
        return (
            f"oodseg build {bundle} --engine {self.engine} --precision {self.precision} "
            f"--size {self.width}x{self.height} --batch {self.batch}"
        )

    def differences(self, other: EngineIdentity, ignore: tuple[str, ...] = ()) -> tuple[str, ...]:
        """One phrase per field in which `other` differs, e.g. `batch 4 instead of 1`."""
        phrases = []
        for name in (entry.name for entry in fields(self)):
            mine, theirs = getattr(self, name), getattr(other, name)
            if name != "bundle" and name not in ignore and mine != theirs:
                mine, theirs = (str(value)[:12] if name in ("weights", "code") else value for value in (mine, theirs))
                phrases.append(f"{name} {theirs} instead of {mine}")
        return tuple(phrases)


@dataclass(frozen=True)
class SideCar:
    """What lies beside an engine as JSON.

    Attributes:
        identity: what it was built for.
        files: file name → sha256, every file of the engine.
        accepted: whether it passed its gate on the device that it was built for.
        reason: why not, if not.
        acceptance: the gate's figures (`building.acceptance.Acceptance` as a dict), or None.
        golden: `max_abs_delta` and `label_agreement` on the golden frame when it was accepted, or None.
        built: for the reader: seconds, bytes, versions, time.
    """

    identity: EngineIdentity
    files: dict[str, str]
    accepted: bool
    reason: str = ""
    acceptance: dict[str, Any] | None = None
    golden: dict[str, float] | None = None
    built: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> SideCar:
        """Read `<stem>.json`.

        Raises:
            EngineError: it is damaged or of another schema.
        """
        try:
            data = json.loads(path.read_text())
            if data.pop("schema") != SCHEMA:
                raise ValueError("of another schema")
            return cls(EngineIdentity(**data.pop("identity")), **data)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise EngineError(
                f"{path} is no side-car of an engine that this version reads ({why(error)}); build it again"
            ) from error

    def write(self, path: Path) -> None:
        """Write `<stem>.json`, complete or not at all."""
        part = path.with_name(f".{os.getpid()}-{path.name}")
        part.write_text(json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1) + "\n")
        os.replace(part, path)
