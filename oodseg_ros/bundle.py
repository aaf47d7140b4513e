"""A bundle: a model on disk, the one thing that passes between the offline and the online side.

`models/<name>/` holds `model.yaml` (`model_card.ModelCard`), `weights.safetensors` and `golden.npz` (a small input and
its expected output), `labels.yaml` where its label set is not one of the package's, and `model.sig` where it is signed.
Whoever loads a bundle gets verified hashes; the golden frame is checked by `inference.Runner`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic import ValidationError

from .bounded_yaml import MAX_BYTES, load_yaml
from .errors import BundleError, ConfigError, listed, why
from .labels import LabelSet, load_labels
from .model_card import SCHEMA, ModelCard, readable
from .paths import models_dir
from .signatures import (
    SIGNATURE_FILE,
    VARIABLE,
    check_private_key,
    check_signature,
    required_key,
    sign_bundle,
)

MODEL_FILE = "model.yaml"
WEIGHTS_FILE = "weights.safetensors"
GOLDEN_FILE = "golden.npz"
LABELS_FILE = "labels.yaml"
MAX_GOLDEN_BYTES = 100_000_000
"""Unpacked; a golden frame has about a megabyte."""


@dataclass(frozen=True)
class Bundle:
    """A verified bundle.

    Attributes:
        card: the content of `model.yaml`.
    """

    path: Path
    card: ModelCard
    labels: LabelSet

    @property
    def weights_hash(self) -> str:
        """sha256 of the weights file, 64 hex digits."""
        return self.card.files[WEIGHTS_FILE]

    @property
    def id(self) -> str:
        """`name@` and the first 12 digits of the weights hash; stands in every prediction, report and diagnostic."""
        return f"{self.card.name}@{self.weights_hash[:12]}"

    def weights(self) -> dict[str, Any]:
        """State dict of torch tensors, as stored."""
        from safetensors.torch import load_file

        return load_file(str(self.path / WEIGHTS_FILE))

    def segmentor(self) -> Any:
        """The `networks.segmentor.Segmentor` with its weights, float32, in eval mode.

        Raises:
            BundleError: the weights do not fit the network spec, or are not finite: some runtimes make an ordinary
                number of the NaN that comes out.
        """
        from .networks.build import build_segmentor

        segmentor = build_segmentor(self.card.network, self.card.input)
        state = {key: value.float() if value.is_floating_point() else value for key, value in self.weights().items()}
        broken = [key for key, value in state.items() if value.is_floating_point() and not bool(value.isfinite().all())]
        if broken:
            raise BundleError(
                f"bundle {self.path}: NaN or infinity in {len(broken)} tensors of the weights "
                f"({listed(broken, 5)}); the training diverged, or the file it was imported from is damaged"
            )
        try:
            segmentor.load_state_dict(state, strict=True)
        except RuntimeError as error:
            raise BundleError(f"bundle {self.path}: weights do not fit the network spec: {error}") from error
        if segmentor.classes != len(self.labels):
            raise BundleError(
                f"bundle {self.path}: the network has {segmentor.classes} classes, "
                f"label set {self.labels.name} has {len(self.labels)}"
            )
        return segmentor.eval()

    def golden(self) -> dict[str, np.ndarray]:
        """`image` uint8 `[H, W, 3]`, `labels` uint8 `[H, W]`, `score` float32 `[H, W]`, of torch in FP32.

        Raises:
            BundleError: it holds something else.
        """
        file = self.path / GOLDEN_FILE
        try:
            with zipfile.ZipFile(file) as archive:
                unpacked = sum(entry.file_size for entry in archive.infolist())
            if unpacked > MAX_GOLDEN_BYTES:
                raise BundleError(f"{file} unpacks to {unpacked / 1e6:.0f} MB; refused as a decompression bomb")
            with np.load(file, allow_pickle=False) as data:
                golden = {key: data[key] for key in ("image", "labels", "score")}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, MemoryError) as error:
            raise BundleError(f"{file} holds no golden frame: {why(error)}") from error
        if (
            golden["image"].ndim != 3
            or not golden["image"].shape[:2] == golden["labels"].shape == golden["score"].shape
        ):
            shapes = ", ".join(f"{key} {value.shape}" for key, value in golden.items())
            raise BundleError(f"{file} holds no golden frame: {shapes}")
        return golden


def resolve_bundle(name_or_path: str | Path) -> Path:
    """Folder of a bundle given by path, or by name under the shipped `models/`."""
    path = Path(name_or_path).expanduser()
    if (path / MODEL_FILE).is_file() or path.is_absolute() or len(path.parts) != 1:
        return path
    return models_dir() / path


def load_bundle(name_or_path: str | Path, public_key: str = "") -> Bundle:
    """Read and verify a bundle: signature where one is required, schema, label set, and the sha256 of every file.

    Args:
        name_or_path: see `resolve_bundle`.
        public_key: file of the key that must have signed it; empty = `$OODSEG_PUBLIC_KEY`, or none is required.

    Raises:
        BundleError: with what is wrong and what to do.
        ConfigError: the public key cannot be read.
    """
    path = resolve_bundle(name_or_path)
    file = path / MODEL_FILE
    if not file.is_file():
        shipped = models_dir()
        known = ", ".join(sorted(p.parent.name for p in shipped.glob(f"*/{MODEL_FILE}"))) or "none"
        tried = dict.fromkeys((Path(name_or_path).expanduser(), path))  # a bare name may be either
        here = " nor at ".join(f"{place}{' (no such folder)' * (not place.is_dir())}" for place in tried)
        raise BundleError(f"no bundle at {here}: {MODEL_FILE} is missing; shipped bundles: {known}")
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise BundleError(f"{file} cannot be read: {why(error)}") from error
    # Before the first look into it, and on the very bytes that are parsed next.
    if (key := required_key(public_key)) is not None:
        check_signature(path, content, key)
    try:
        data = load_yaml(content, str(file))
    except ConfigError as error:
        raise BundleError(str(error)) from error
    if not isinstance(data, dict):
        raise BundleError(f"{file} is not a model card")
    if data.get("schema_version") != SCHEMA:
        raise BundleError(
            f"{file} has schema {data.get('schema_version')!r}, this version reads {SCHEMA}; "
            "import or train the model again"
        )
    try:
        card = ModelCard.model_validate(data)
        _verify_files(path, card)
        labels = load_labels(path / card.label_set if card.label_set in card.files else card.label_set)
    except ValidationError as error:
        raise BundleError(f"{file}: {readable(error)}") from error
    except ConfigError as error:
        raise BundleError(f"{file}: {error}") from error
    rule = card.calibration.objects
    if rule is not None and (strange := [index for index in rule.ground if index >= len(labels)]):
        raise BundleError(
            f"{file}: calibration.objects.ground names class {', '.join(map(str, strange))}, label set {labels.name} "
            f"has 0 to {len(labels) - 1}: every object would be taken to stand beside the ground"
        )
    return Bundle(path, card, labels)


def save_bundle(path: str | Path, card: ModelCard, state: dict[str, Any], golden: dict[str, np.ndarray]) -> Bundle:
    """Write a bundle and read it back verified. Files get their final names only when they are complete.

    Args:
        path: its folder, made if absent.
        card: `files` is filled in here; a label set given by path is copied into the bundle.
        state: state dict of torch tensors.
        golden: arrays `image`, `labels`, `score` (see `Bundle.golden`).
    """
    from safetensors.torch import save_file

    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    weights, golden_file, model = (path / f".{name}.part" for name in (WEIGHTS_FILE, GOLDEN_FILE, MODEL_FILE))
    save_file({key: value.detach().cpu().contiguous() for key, value in state.items()}, str(weights))
    with golden_file.open("wb") as stream:
        np.savez_compressed(stream, **golden)  # type: ignore[arg-type]
    weights.chmod(
        golden_file.stat().st_mode
    )  # safetensors writes 0600; an installed bundle must be readable by the node's user
    files = {WEIGHTS_FILE: sha256(weights), GOLDEN_FILE: sha256(golden_file)}
    label_set = card.label_set
    if Path(label_set).suffix in (".yaml", ".yml"):
        load_labels(label_set)
        if Path(label_set).resolve() != (path / LABELS_FILE).resolve():
            shutil.copyfile(label_set, path / LABELS_FILE)
        label_set, files[LABELS_FILE] = LABELS_FILE, sha256(path / LABELS_FILE)
    card = ModelCard.model_validate(card.model_dump() | {"files": files, "label_set": label_set})
    model.write_text(dump_card(card))
    # model.yaml last: until it is there, the folder is no bundle, and an older one fails its hashes loudly.
    for temporary, name in ((weights, WEIGHTS_FILE), (golden_file, GOLDEN_FILE), (model, MODEL_FILE)):
        os.replace(temporary, path / name)
    return load_bundle(path)


def check_rewritable(path: Path, key: Path | None) -> None:
    """Make sure, before long work, that `rewrite_card` will take this key.

    Raises:
        BundleError: signatures are required here (`OODSEG_PUBLIC_KEY`), and no key was given.
        ConfigError: there is no private key.
    """
    if key is not None:
        check_private_key(key)
    elif (required := required_key()) is not None:
        raise BundleError(
            f"bundle {path} would be refused once its card is changed: a signature is required here ({VARIABLE} = "
            f"{required}); give the private key with --key"
        )


def rewrite_card(path: Path, card: ModelCard, key: Path | None = None) -> Bundle:
    """Replace the model card of the bundle at `path`, atomically; weights and golden frame stay; verified again.

    A signature of the old card does not hold for the new one. It is replaced, or removed: beside a changed card it
    would call the bundle forged.

    Args:
        key: private key to sign the result with; None = it is unsigned afterwards.

    Raises:
        BundleError, ConfigError: as `check_rewritable`; nothing is changed then.
    """
    check_rewritable(path, key)
    part = path / f".{MODEL_FILE}.part"
    part.write_text(dump_card(card))
    # First: whoever is interrupted in between leaves an unsigned bundle, not one that looks forged.
    (path / SIGNATURE_FILE).unlink(missing_ok=True)
    os.replace(part, path / MODEL_FILE)
    if key is not None:
        sign_bundle(path, key)
    return load_bundle(path)


def dump_card(card: ModelCard) -> str:
    """`model.yaml` as text, keys in the order of `ModelCard`."""
    # File names that are no UTF-8 come in here, in what was calibrated on, and no YAML with such a character is read.
    text = json.dumps(card.model_dump(mode="json"), ensure_ascii=False).encode("utf-8", "replace")
    return yaml.safe_dump(json.loads(text), sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)


def sha256(file: Path) -> str:
    """Hex digest of a file's content."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _verify_files(path: Path, card: ModelCard) -> None:
    for name in (WEIGHTS_FILE, GOLDEN_FILE):
        if name not in card.files:
            raise BundleError(f"bundle {path}: {MODEL_FILE} lists no sha256 for {name}")
    for name, expected in card.files.items():
        file = path / name
        if not file.is_file():
            raise BundleError(f"bundle {path}: {name} is missing")
        actual = sha256(file)
        if actual != expected:
            raise BundleError(
                f"bundle {path}: {name} was changed or damaged: sha256 is {actual[:12]}…, "
                f"{MODEL_FILE} says {expected[:12]}…; "
                "fetch the bundle again, never edit its files by hand"
            )
