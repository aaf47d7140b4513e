from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from oodseg_ros.bundle import load_bundle, rewrite_card
from oodseg_ros.errors import BundleError, ConfigError
from oodseg_ros.signatures import SIGNATURE_FILE, VARIABLE, make_keys, sign_bundle


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "maker", make_keys(tmp_path / "maker")


@pytest.fixture
def signed(tiny_bundle: Path, tmp_path: Path, keys: tuple[Path, Path]) -> Path:
    path = Path(shutil.copytree(tiny_bundle, tmp_path / "signed"))
    sign_bundle(path, keys[0])
    return path


def test_a_signed_bundle_loads_with_and_without_the_requirement(signed: Path, keys: tuple[Path, Path]) -> None:
    assert load_bundle(signed, str(keys[1])).id == load_bundle(signed).id


def test_the_environment_requires_it_of_every_command(
    signed: Path, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(keys[1]))
    load_bundle(signed)
    (signed / SIGNATURE_FILE).unlink()
    with pytest.raises(BundleError, match="is not signed, and a signature of key"):
        load_bundle(signed)


def test_another_key_is_refused_and_both_are_named(signed: Path, tmp_path: Path) -> None:
    other = make_keys(tmp_path / "other")
    with pytest.raises(BundleError, match=r"is signed by key [0-9a-f]{16}, but a signature of key [0-9a-f]{16}"):
        load_bundle(signed, str(other))


def test_a_forged_fingerprint_does_not_help(signed: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    mark = (signed / SIGNATURE_FILE).read_text().split()[1]
    make_keys(tmp_path / "thief")
    sign_bundle(signed, tmp_path / "thief")
    words = (signed / SIGNATURE_FILE).read_text().split()
    (signed / SIGNATURE_FILE).write_text(" ".join((words[0], mark, words[2])))
    with pytest.raises(BundleError, match="does not fit model"):
        load_bundle(signed, str(keys[1]))


def test_every_changed_byte_of_the_card_is_noticed(signed: Path, keys: tuple[Path, Path]) -> None:
    card = (signed / "model.yaml").read_bytes()
    for position in range(0, len(card), 97):
        changed = bytearray(card)
        changed[position] ^= 1
        (signed / "model.yaml").write_bytes(bytes(changed))
        with pytest.raises(BundleError, match="does not fit model"):
            load_bundle(signed, str(keys[1]))


def test_a_changed_card_is_signed_again_or_unsigned_but_never_looks_forged(
    signed: Path, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    card = load_bundle(signed).card
    changed = card.calibration.model_copy(update={"threshold": 1e9})
    rewrite_card(signed, card.model_copy(update={"calibration": changed}))
    with pytest.raises(BundleError, match=r"is not signed.*oodseg sign"):
        load_bundle(signed, str(keys[1]))
    rewrite_card(signed, card, keys[0])
    load_bundle(signed, str(keys[1]))
    before = (signed / "model.yaml").read_bytes(), (signed / SIGNATURE_FILE).read_bytes()
    monkeypatch.setenv("OODSEG_PUBLIC_KEY", str(keys[1]))
    for key, error in ((None, BundleError), (keys[1], ConfigError)):
        with pytest.raises(error):
            rewrite_card(signed, card.model_copy(update={"calibration": changed}), key)
    assert before == ((signed / "model.yaml").read_bytes(), (signed / SIGNATURE_FILE).read_bytes())
    rewrite_card(signed, card.model_copy(update={"calibration": changed}), keys[0])
    assert load_bundle(signed).card.calibration.threshold == 1e9


def test_weights_are_covered_through_their_hash(signed: Path, keys: tuple[Path, Path]) -> None:
    with (signed / "weights.safetensors").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(BundleError, match="was changed or damaged"):
        load_bundle(signed, str(keys[1]))


@pytest.mark.parametrize("content", [b"", b"x", b"oodseg-ed25519-v1 a b c", b"\xff" * 90, b"oodseg-ed25519-v0 a b"])
def test_a_broken_signature_file_is_named(signed: Path, keys: tuple[Path, Path], content: bytes) -> None:
    (signed / SIGNATURE_FILE).write_bytes(content)
    with pytest.raises(BundleError, match=r"model\.sig"):
        load_bundle(signed, str(keys[1]))


def test_keys_are_private_and_never_replaced(keys: tuple[Path, Path]) -> None:
    assert stat.S_IMODE(keys[0].stat().st_mode) == 0o600
    before = keys[0].read_bytes()
    with pytest.raises(ConfigError, match="never replaced"):
        make_keys(keys[0])
    assert keys[0].read_bytes() == before


def test_wrong_keys_are_refused_with_a_sentence(signed: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    foreign = tmp_path / "rsa.pub"
    key = rsa.generate_private_key(65537, 2048).public_key()
    foreign.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    for file, sentence in ((foreign, "no Ed25519 key"), (keys[0], "as PEM"), (tmp_path / "none", "cannot be read")):
        with pytest.raises(ConfigError, match=sentence):
            load_bundle(signed, str(file))
    with pytest.raises(ConfigError, match="no private key"):
        sign_bundle(signed, keys[1])
