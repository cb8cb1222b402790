"""Certificates in PEM files, which may be replaced while a program runs."""

from collections.abc import Callable, Mapping, Sequence
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

NoteEnds: TypeAlias = Callable[[Mapping[str, float]], object]
"""Receives when the first certificate of each file expires, as a Unix time, by the variable that names the file."""


def note_nothing(_: Mapping[str, float]) -> None:
    """Receives the ends of certificates and does nothing."""


_log = structlog.get_logger("userfold.certificates")


class CertificateUnusable(Exception):
    """A file cannot be used. The message, which is for the operator, names it and its environment variable."""


@dataclass(frozen=True, slots=True)
class PemFile:
    """A file, and the environment variable that names it."""

    variable: str
    path: Path

    def read(self) -> bytes:
        """The content. Raises CertificateUnusable."""
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise self.unusable(f"cannot be read: {error.strerror}") from None

    def unusable(self, why: str) -> CertificateUnusable:
        """The exception to raise if the file cannot be used."""
        return CertificateUnusable(f"{self.variable}: {self.path} {why}")


@dataclass(frozen=True, slots=True)
class Pem:
    """The contents of the files, each None if there is no such file.

    `certificate` is followed by the intermediate ones. `authorities` are the certificates that are trusted.
    """

    certificate: bytes | None
    key: bytes | None
    authorities: bytes | None


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """The files of a certificate, its key, and the authorities that must have issued the peer's certificate."""

    certificate: PemFile | None = None
    key: PemFile | None = None
    authorities: PemFile | None = None

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str], *, certificate: str, key: str, authorities: str | None = None
    ) -> "CertificateFiles":
        """The files whose paths these variables hold. Raises CertificateUnusable for half a pair."""

        def named(variable: str | None) -> PemFile | None:
            path = environment.get(variable) if variable else None
            return PemFile(variable, Path(path)) if variable and path else None

        files = cls(named(certificate), named(key), named(authorities))
        if (files.certificate is None) != (files.key is None):
            raise CertificateUnusable(f"{certificate} and {key} go together: set both, or neither")
        return files

    def read(self) -> Pem:
        """The contents now. Raises CertificateUnusable, also for a key that does not match its certificate."""
        certificate, key, authorities = (
            file.read() if file else None for file in (self.certificate, self.key, self.authorities)
        )
        if self.certificate and self.key and certificate is not None and key is not None:
            public = _certificates(self.certificate, certificate)[0].public_key()
            if _key_bytes(public) != _key_bytes(_key(self.key, key).public_key()):
                raise self.key.unusable(f"is not the key of the certificate in {self.certificate.path}")
        if self.authorities and authorities is not None:
            _certificates(self.authorities, authorities)
        return Pem(certificate, key, authorities)

    def ends(self, pem: Pem) -> Mapping[str, float]:
        """When the first certificate of each file expires, as a Unix time, by the variable that names the file.

        `pem` is what `read` returned.
        """
        read = ((self.certificate, pem.certificate), (self.authorities, pem.authorities))
        return {
            file.variable: min(each.not_valid_after_utc.timestamp() for each in _certificates(file, content))
            for file, content in read
            if file and content is not None
        }

    def stamp(self) -> _Stamp:
        """A value that changes when any of the files does."""
        return tuple(_stamp(file.path) for file in (self.certificate, self.key, self.authorities) if file)


NO_FILES: Final = CertificateFiles()
"""No certificate is used."""


class Reloaded(Generic[_Made]):
    """A value made of certificates, which is made again when their files change.

    Raises CertificateUnusable if the first files cannot be used. If later ones cannot, the former value stays in use,
    and an error is logged. `note_ends` is called with the ends of the certificates that are in use from then on.
    """

    def __init__(
        self, files: CertificateFiles, make: Callable[[Pem], _Made], note_ends: NoteEnds = note_nothing
    ) -> None:
        self._files = files
        self._make = make
        self._note_ends = note_ends
        self._stamp = files.stamp()
        self._made = self._read()

    def current(self) -> _Made:
        """The value of the present files. May be called in any thread."""
        stamp = self._files.stamp()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._made = self._read()
                _log.info("certificates reloaded")
            # OSError: a file may change after it was read and before it is used.
            except (CertificateUnusable, OSError) as error:
                _log.error("certificates not reloaded", why=str(error))
        return self._made

    def _read(self) -> _Made:
        pem = self._files.read()
        made = self._make(pem)
        self._note_ends(self._files.ends(pem))
        return made


def _certificates(file: PemFile, pem: bytes) -> Sequence[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise file.unusable("holds no certificate in PEM") from None


def _key(file: PemFile, pem: bytes) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it needs a password.
        raise file.unusable("holds no private key in PEM without a password") from None


def _key_bytes(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
