"""This machine: the variables, the addresses on which programs listen, certificates, and the disk of the data."""

import errno
import shutil
import socket
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from cli.doctor.findings import Finding, ok, problem, warning
from gateway.settings import Settings as GatewaySettings
from runtime.certificates import CertificateFiles, CertificateUnusable
from runtime.settings import SETTINGS, InvalidSetting, warnings_of
from server.settings import Settings as ServerSettings

_SOON: Final = timedelta(days=30)
_CONNECT_SECONDS: Final = 2.0
_GIB: Final = 2**30

_CERTIFICATES: Final = {"_CERTIFICATE": "_KEY"}
_AUTHORITIES: Final = ("_CA", "_CLIENT_CA")


def variables(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the programs accept the variables, and which of them no program knows."""
    found = False
    remedy = "docs/configuration.md has every variable"
    for settings in (ServerSettings, GatewaySettings):
        try:
            settings.from_environment(environment)
        except (InvalidSetting, CertificateUnusable) as error:
            found = True
            yield problem("variables", str(error), remedy)
    try:
        lines = warnings_of(environment)
    except InvalidSetting as error:
        found, lines = True, []
        yield problem("variables", str(error), remedy)
    for line in lines:
        found = True
        yield warning("variables", line, f"remove it; {remedy}")
    if not found:
        yield ok("variables", "every USERFOLD_ variable is known, and can be used")


def addresses(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the programs can listen on their addresses, or already do."""
    for setting in SETTINGS:
        if not setting.name.endswith("_ADDRESS"):
            continue
        address = environment.get(setting.name) or setting.default
        host, _, port = address.rpartition(":")
        if host and port.isdigit() and "," not in host and "/" not in host:
            yield _address(setting.name, address, host.strip("[]"), int(port))


def _address(variable: str, address: str, host: str, port: int) -> Finding:
    subject = f"{variable}={address}"
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError:
        return problem(subject, f"the name {host} has no address", "correct it, or the name service")
    with socket.socket(family, kind, protocol) as probe:
        # As the programs do: connections that have just ended do not occupy the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(where)
        except OSError as error:
            number = error.errno
        else:
            return ok(subject, "is free")
    if number == errno.EACCES:
        return problem(subject, "this user may not listen on the port", "use a port from 1024 on")
    try:
        socket.create_connection((host, port), _CONNECT_SECONDS).close()
    except OSError:
        if number == errno.EADDRNOTAVAIL:
            return problem(
                subject, "is no address of this machine, and nothing answers there", "correct it, or start the program"
            )
        return problem(subject, "is taken by a program that does not answer", f"stop it, or change {variable}")
    if number == errno.EADDRNOTAVAIL:
        return ok(subject, "is on another machine, and a program answers there")
    return ok(subject, f"a program answers there already; if it is not Userfold, change {variable}")


def certificates(environment: Mapping[str, str], now: datetime) -> Iterator[Finding]:
    """Whether the certificates can be read, fit their keys, and are valid for long enough."""
    for setting in SETTINGS:
        name = setting.name
        path = environment.get(name)
        if not path or not (name.endswith("_CERTIFICATE") or name.endswith("_CA")):
            continue
        key = name.removesuffix("_CERTIFICATE") + "_KEY" if name.endswith("_CERTIFICATE") else None
        try:
            if key is None:
                files = CertificateFiles.from_environment(environment, certificate="", key="", authorities=name)
                pem = files.read().authorities
            else:
                files = CertificateFiles.from_environment(environment, certificate=name, key=key)
                pem = files.read().certificate
        except CertificateUnusable as error:
            yield problem(name, str(error), "correct the path or the file")
            continue
        yield from _validity(name, path, pem or b"", now)
        if key is not None and Path(environment[key]).stat().st_mode & 0o077:
            yield warning(key, f"others than its owner can read {environment[key]}", f"chmod 600 {environment[key]}")


def _validity(variable: str, path: str, pem: bytes, now: datetime) -> Iterator[Finding]:
    """The findings about all certificates in a file: the first to end decides."""
    found = x509.load_pem_x509_certificates(pem)
    end = min(certificate.not_valid_after_utc for certificate in found)
    start = max(certificate.not_valid_before_utc for certificate in found)
    days = (end - now).days
    if end < now:
        yield problem(variable, f"a certificate in {path} ended on {end:%Y-%m-%d}", "replace the file by a new one")
    elif start > now:
        yield problem(
            variable, f"a certificate in {path} is valid from {start:%Y-%m-%d} on", "check it, and this machine's clock"
        )
    elif end - now < _SOON:
        yield warning(
            variable,
            f"a certificate in {path} ends on {end:%Y-%m-%d}, in {days} days",
            "replace the file: programs read a new one without a restart",
        )
    else:
        yield ok(variable, f"the certificates in {path} are valid until {end:%Y-%m-%d}")


def disk(environment: Mapping[str, str]) -> Iterator[Finding]:
    """The space for the embedded MongoDB, where that is used."""
    if environment.get("USERFOLD_MONGODB_URI"):
        return
    folder = Path(environment.get("USERFOLD_DATA_DIR") or ServerSettings.from_environment({}).data_dir).absolute()
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    space = shutil.disk_usage(existing)
    described = f"{space.free / _GIB:,.1f} GiB are free for {folder}"
    if space.free < _GIB:
        yield problem("data directory", described, "free some space, or set USERFOLD_DATA_DIR to another disk")
    else:
        yield ok("data directory", described)


def utc_now() -> datetime:
    """The time now."""
    return datetime.now(UTC)
