"""Certificates in files: what is refused, by the name of its variable, and what happens when they change."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from structlog.testing import capture_logs

from runtime.certificates import CertificateFiles, CertificateUnusable, Pem, Reloaded
from tests.support.certificates import Authority

NAMES = {"certificate": "USERFOLD_CERTIFICATE", "key": "USERFOLD_KEY", "authorities": "USERFOLD_CA"}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def environment(tmp_path: Path, authority: Authority) -> dict[str, str]:
    pair = authority.issue(tmp_path, "server")
    return {
        "USERFOLD_CERTIFICATE": str(pair.certificate),
        "USERFOLD_KEY": str(pair.key),
        "USERFOLD_CA": str(authority.path),
    }


def files_in(environment: dict[str, str]) -> CertificateFiles:
    return CertificateFiles.from_environment(environment, **NAMES)


def test_files_that_no_variable_names_are_not_read(environment: dict[str, str]) -> None:
    assert files_in({"USERFOLD_CA": ""}).read() == Pem(None, None, None)
    pem = files_in(environment).read()
    assert pem.authorities == Path(environment["USERFOLD_CA"]).read_bytes()


@pytest.mark.parametrize("missing", ["USERFOLD_CERTIFICATE", "USERFOLD_KEY"])
def test_half_a_pair_is_refused(environment: dict[str, str], missing: str) -> None:
    del environment[missing]
    with pytest.raises(CertificateUnusable, match="USERFOLD_CERTIFICATE and USERFOLD_KEY go together"):
        files_in(environment)


def no_file(path: Path) -> None:
    path.unlink()


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def nonsense(path: Path) -> None:
    path.write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")


@pytest.mark.parametrize("spoil", [no_file, a_directory, nonsense])
@pytest.mark.parametrize("variable", NAMES.values())
def test_an_unusable_file_is_reported_with_its_variable(
    environment: dict[str, str], variable: str, spoil: Callable[[Path], None]
) -> None:
    files = files_in(environment)
    spoil(Path(environment[variable]))
    with pytest.raises(CertificateUnusable, match=f"^{variable}: {environment[variable]} "):
        files.read()


def test_a_key_of_another_certificate_or_with_a_password_is_refused(
    environment: dict[str, str], tmp_path: Path
) -> None:
    files = files_in(environment)
    other = Authority(tmp_path, "other").issue(tmp_path, "another")
    key = Path(environment["USERFOLD_KEY"])
    key.write_bytes(other.key.read_bytes())
    with pytest.raises(CertificateUnusable, match=f"^USERFOLD_KEY: {key} is not the key of the certificate in "):
        files.read()
    encryption = BestAvailableEncryption(b"s3cret")
    key.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    )
    with pytest.raises(CertificateUnusable, match=f"^USERFOLD_KEY: {key} holds no private key .* without a password"):
        files.read()


def test_unusable_new_files_keep_the_former_certificate_and_later_ones_are_loaded(
    environment: dict[str, str], authority: Authority, tmp_path: Path
) -> None:
    reloaded = Reloaded(files_in(environment), lambda pem: pem)
    first = reloaded.current()
    assert reloaded.current() is first
    key = Path(environment["USERFOLD_KEY"])
    fitting = key.read_bytes()
    key.write_bytes(b"nonsense")
    with capture_logs() as logs:
        assert reloaded.current() is first
        assert reloaded.current() is first
        key.unlink()
        assert reloaded.current() is first
        authority.issue(tmp_path, "server")
        assert reloaded.current() not in (first, None)
    assert [each["event"] for each in logs] == ["certificates not reloaded"] * 2 + ["certificates reloaded"]
    assert "USERFOLD_KEY" in logs[0]["why"]
    assert fitting.decode() not in repr(logs)


def test_unusable_files_at_the_start_raise(environment: dict[str, str]) -> None:
    Path(environment["USERFOLD_CA"]).write_bytes(b"")
    with pytest.raises(CertificateUnusable, match="USERFOLD_CA"):
        Reloaded(files_in(environment), lambda pem: pem)


def test_the_ends_are_those_of_the_certificates_in_use(
    environment: dict[str, str], authority: Authority, tmp_path: Path
) -> None:
    # The first certificate of a chain to expire counts.
    chain = Path(environment["USERFOLD_CERTIFICATE"])
    longer = authority.issue(tmp_path, "longer", days=9).certificate.read_bytes()
    chain.write_bytes(chain.read_bytes() + longer)
    noted: list[Mapping[str, float]] = []
    reloaded = Reloaded(files_in(environment), lambda pem: pem, noted.append)

    def days() -> list[dict[str, int]]:
        return [{name: round((end - time.time()) / 86_400) for name, end in each.items()} for each in noted]

    assert days() == [{"USERFOLD_CERTIFICATE": 1, "USERFOLD_CA": 1}]
    chain.write_bytes(b"nonsense")
    reloaded.current()
    assert len(noted) == 1
    authority.issue(tmp_path, "server", days=5)
    reloaded.current()
    assert days()[1:] == [{"USERFOLD_CERTIFICATE": 5, "USERFOLD_CA": 1}]
