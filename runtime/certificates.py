"""Certificates in PEM files that may be exchanged while a program runs: each handshake asks for what they hold now."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeAlias, TypeVar

import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

_Made = TypeVar("_Made")
_Stamp: TypeAlias = tuple[tuple[int, int, int] | None, ...]

_log = structlog.get_logger("userfold.certificates")


class CertificateUnusable(Exception):
    """A file cannot be used. The text names it and its environment variable, and is for the operator."""


@dataclass(frozen=True, slots=True)
class PemFile:
    """A file, and the environment variable that names it."""

    variable: str
    path: Path

    def read(self) -> bytes:
        """What it holds. Raises CertificateUnusable."""
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise self.unusable(f"cannot be read: {error.strerror}") from None

    def unusable(self, why: str) -> CertificateUnusable:
        """What to raise where it cannot be used."""
        return CertificateUnusable(f"{self.variable}: {self.path} {why}")


@dataclass(frozen=True, slots=True)
class Pem:
    """What the files hold, in PEM, each None where none is named: a certificate, followed by those between it and its
    authority; its key; and the certificates of the authorities that are trusted."""

    certificate: bytes | None
    key: bytes | None
    authorities: bytes | None


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where a certificate with its key is, and those of the authorities that the other side's must come from."""

    certificate: PemFile | None = None
    key: PemFile | None = None
    authorities: PemFile | None = None

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str], *, certificate: str, key: str, authorities: str | None = None
    ) -> "CertificateFiles":
        """The files that variables of these names hold the paths of. Raises CertificateUnusable for half a pair."""

        def named(variable: str | None) -> PemFile | None:
            path = environment.get(variable) if variable else None
            return PemFile(variable, Path(path)) if variable and path else None

        files = cls(named(certificate), named(key), named(authorities))
        if (files.certificate is None) != (files.key is None):
            raise CertificateUnusable(f"{certificate} and {key} go together: set both, or neither")
        return files

    def read(self) -> Pem:
        """What they hold now. Raises CertificateUnusable, where a key is not that of its certificate too."""
        certificate, key, authorities = (
            file.read() if file else None for file in (self.certificate, self.key, self.authorities)
        )
        if self.certificate and self.key and certificate is not None and key is not None:
            public = _certificate(self.certificate, certificate).public_key()
            if _key_bytes(public) != _key_bytes(_key(self.key, key).public_key()):
                raise self.key.unusable(f"is not the key of the certificate in {self.certificate.path}")
        if self.authorities and authorities is not None:
            _certificate(self.authorities, authorities)
        return Pem(certificate, key, authorities)

    def stamp(self) -> _Stamp:
        """What is another as soon as any of the files is."""
        return tuple(_stamp(file.path) for file in (self.certificate, self.key, self.authorities) if file)


NO_FILES: Final = CertificateFiles()
"""Where no certificate is used."""


class Reloaded(Generic[_Made]):
    """What is made of certificates, and made anew when their files have changed.

    Raises CertificateUnusable where they cannot be used from the start. Where they cannot be later, what was made
    before goes on, and the log tells why.
    """

    def __init__(self, files: CertificateFiles, make: Callable[[Pem], _Made]) -> None:
        self._files = files
        self._make = make
        self._stamp = files.stamp()
        self._made = make(files.read())

    def current(self) -> _Made:
        """What is made of the files as they are. May be called in any thread."""
        stamp = self._files.stamp()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._made = self._make(self._files.read())
                _log.info("certificates reloaded")
            # Not CertificateUnusable alone: a file may change between its being read and its being used.
            except (CertificateUnusable, OSError) as error:
                _log.error("certificates not reloaded", why=str(error))
        return self._made


def _certificate(file: PemFile, pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(pem)[0]
    except ValueError:
        raise file.unusable("holds no certificate in PEM") from None


def _key(file: PemFile, pem: bytes) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it takes a password.
        raise file.unusable("holds no private key in PEM without a password") from None


def _key_bytes(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
