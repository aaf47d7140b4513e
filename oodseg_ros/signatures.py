"""Ed25519 signatures of bundles: who made a model, not only that it is undamaged.

`model.yaml` holds the sha256 of every other file, so a signature of its bytes vouches for the whole bundle. It stands
in `model.sig` beside it: one line with the method, the first 16 hex digits of sha256(public key), and the signature in
base64. Where a public key is asked for (parameter `public_key`, or the environment variable `OODSEG_PUBLIC_KEY`), a
bundle without a good signature of that key is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import BundleError, ConfigError, why
from .paths import completed

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNATURE_FILE = "model.sig"
VARIABLE = "OODSEG_PUBLIC_KEY"
_METHOD = "oodseg-ed25519-v1"
_MAX_BYTES = 4096


def make_keys(file: Path) -> Path:
    """Write a new private key (PEM, readable by its owner only) and `<file>.pub`; returns the latter's path.

    Raises:
        ConfigError: one of them exists, or the folder cannot be written.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    public = file.with_name(file.name + ".pub")
    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    shown = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    try:
        for path, mode, content in ((file, 0o600, secret), (public, 0o644, shown)):
            # O_EXCL: an existing key is somebody's identity and is never replaced.
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:
                stream.write(content)
    except FileExistsError as error:
        raise ConfigError(f"{error.filename} exists; keys are never replaced, choose another name") from error
    except OSError as error:
        raise ConfigError(f"key {file} cannot be written: {why(error)}") from error
    return public


def sign_bundle(bundle: Path, key_file: Path) -> Path:
    """Sign the bundle's model card; returns the signature file. Load the bundle first: this looks at no other file.

    Raises:
        ConfigError: no private key there.
        BundleError: the card cannot be read, or the signature not be written.
    """
    key = _private_key(key_file)
    try:
        card = (bundle / "model.yaml").read_bytes()
        line = f"{_METHOD} {fingerprint(key.public_key())} {base64.b64encode(key.sign(_message(card))).decode()}\n"
        with completed(bundle / SIGNATURE_FILE) as part:
            part.write_text(line)
    except OSError as error:
        raise BundleError(f"bundle {bundle} cannot be signed: {why(error)}") from error
    return bundle / SIGNATURE_FILE


def is_signed(bundle: Path) -> bool:
    """Whether there is a signature, by whatever key."""
    return (bundle / SIGNATURE_FILE).is_file()


def check_private_key(file: Path) -> None:
    """Make sure that there is a key to sign with.

    Raises:
        ConfigError: no Ed25519 private key there.
    """
    _private_key(file)


def check_signature(bundle: Path, card: bytes, key_file: Path) -> str:
    """Check `model.sig` against these bytes of `model.yaml`; returns the key's fingerprint.

    Raises:
        BundleError: unsigned, signed by another key, or changed since.
        ConfigError: the public key cannot be read.
    """
    from cryptography.exceptions import InvalidSignature

    key = _public_key(key_file)
    file = bundle / SIGNATURE_FILE
    wanted = f"a signature of key {fingerprint(key)} ({key_file}) is required"
    try:
        with file.open("rb") as stream:
            words = stream.read(_MAX_BYTES).decode("ascii").split()
    except FileNotFoundError as error:
        raise BundleError(
            f"bundle {bundle} is not signed, and {wanted}; sign it with `oodseg sign {bundle} --key <private key>`"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{file} cannot be read: {why(error)}; {wanted}") from error
    if len(words) != 3 or words[0] != _METHOD:
        raise BundleError(f"{file} is no signature of this version ({_METHOD}); {wanted}")
    if words[1] != fingerprint(key):
        raise BundleError(f"bundle {bundle} is signed by key {words[1]}, but {wanted}")
    try:
        key.verify(base64.b64decode(words[2], validate=True), _message(card))
    except (InvalidSignature, binascii.Error) as error:
        raise BundleError(
            f"bundle {bundle}: the signature does not fit model.yaml; it was changed after signing, or forged. "
            "Fetch the bundle again"
        ) from error
    return words[1]


def required_key(explicit: str = "") -> Path | None:
    """File of the public key that bundles must be signed with: the one given, else `$OODSEG_PUBLIC_KEY`, else None."""
    text = explicit or os.environ.get(VARIABLE, "")
    return Path(text).expanduser() if text else None


def fingerprint(key: Ed25519PublicKey) -> str:
    """16 hex digits that tell one public key from another."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def _message(card: bytes) -> bytes:
    # Its own prefix: a signature made for something else with the same key must not pass as one of a bundle.
    return _METHOD.encode() + b"\0model.yaml\0" + card


def _private_key(file: Path) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(_read(file), None)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{file} is no private key that can be read here (PEM without password): {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{file} is no Ed25519 key; make one with `oodseg sign --new-key <file>`")
    return key


def _public_key(file: Path) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(_read(file))
    except (ValueError, TypeError) as error:
        raise ConfigError(f"public key {file} cannot be read as PEM: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"public key {file} is no Ed25519 key")
    return key


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(_MAX_BYTES)
    except OSError as error:
        raise ConfigError(f"key {file} cannot be read: {why(error)}") from error
