from pathlib import Path

import pytest

from runtime.certificates import CertificateFiles, PemFile
from server.settings import InvalidSetting, Settings, split_address


def test_an_empty_environment_has_the_defaults_of_a_laptop() -> None:
    assert Settings.from_environment({"USERFOLD_MONGODB_URI": ""}) == Settings(
        mongodb_uri=None,
        database="userfold",
        data_dir=".userfold/",
        grpc_address="127.0.0.1:50051",
        metrics_address=None,
        workers=1,
    )


def test_every_variable_is_read() -> None:
    settings = Settings.from_environment(
        {
            "USERFOLD_MONGODB_URI": "mongodb://db/",
            "USERFOLD_DATABASE": "d",
            "USERFOLD_DATA_DIR": "/data",
            "USERFOLD_GRPC_ADDRESS": "[::1]:0",
            "USERFOLD_SERVER_METRICS_ADDRESS": "127.0.0.1:9100",
            "USERFOLD_WORKERS": "4",
            "USERFOLD_LOG_LEVEL": "error",
            "USERFOLD_GRPC_TLS_CERTIFICATE": "/tls/server.pem",
            "USERFOLD_GRPC_TLS_KEY": "/tls/server.key",
            "USERFOLD_GRPC_TLS_CLIENT_CA": "/tls/ca.pem",
        }
    )
    tls = CertificateFiles(
        PemFile("USERFOLD_GRPC_TLS_CERTIFICATE", Path("/tls/server.pem")),
        PemFile("USERFOLD_GRPC_TLS_KEY", Path("/tls/server.key")),
        PemFile("USERFOLD_GRPC_TLS_CLIENT_CA", Path("/tls/ca.pem")),
    )
    assert settings == Settings("mongodb://db/", "d", "/data", "[::1]:0", "127.0.0.1:9100", 4, tls, log_level="error")


def test_the_path_of_a_unix_socket_is_read() -> None:
    settings = Settings.from_environment({"USERFOLD_GRPC_SOCKET": "/run/userfold.sock"})
    assert settings.grpc_socket == "/run/userfold.sock"


def test_a_unix_socket_with_a_long_path_is_refused() -> None:
    assert Settings.from_environment({"USERFOLD_GRPC_SOCKET": "/" + "x" * 99}).grpc_socket
    with pytest.raises(InvalidSetting, match=r"USERFOLD_GRPC_SOCKET .* 100 bytes"):
        Settings.from_environment({"USERFOLD_GRPC_SOCKET": "/" + "x" * 98 + "é"})


def test_workers_cannot_share_a_unix_socket() -> None:
    with pytest.raises(InvalidSetting, match="USERFOLD_GRPC_SOCKET needs USERFOLD_WORKERS=1"):
        Settings.from_environment({"USERFOLD_GRPC_SOCKET": "/run/userfold.sock", "USERFOLD_WORKERS": "2"})


def test_client_authorities_without_a_certificate_are_refused() -> None:
    with pytest.raises(InvalidSetting, match=r"USERFOLD_GRPC_TLS_CLIENT_CA .* without USERFOLD_GRPC_TLS_CERTIFICATE"):
        Settings.from_environment({"USERFOLD_GRPC_TLS_CLIENT_CA": "ca"})


@pytest.mark.parametrize("name", ["USERFOLD_GRPC_ADDRESS", "USERFOLD_SERVER_METRICS_ADDRESS"])
@pytest.mark.parametrize("value", ["50051", ":50051", "host:", "host:http", "host:65536", "host:٣"])
def test_an_invalid_address_is_refused_with_the_name_of_its_variable(name: str, value: str) -> None:
    with pytest.raises(InvalidSetting, match=name):
        Settings.from_environment({name: value})


def test_an_address_is_split_into_host_and_port() -> None:
    assert split_address("X", "[::1]:50051") == ("::1", 50051)


@pytest.mark.parametrize("value", ["0", "65", "1.5", "-1", "two", "٣", "9" * 9999])
def test_an_invalid_number_of_workers_is_refused(value: str) -> None:
    with pytest.raises(InvalidSetting, match=r"USERFOLD_WORKERS .* from 1 to 64"):
        Settings.from_environment({"USERFOLD_WORKERS": value})


def test_the_rate_limit_and_the_drain_time_are_numbers() -> None:
    settings = Settings.from_environment({"USERFOLD_RATE_LIMIT": "250.5", "USERFOLD_DRAIN_SECONDS": "60"})
    assert (settings.rate_limit, settings.drain_seconds) == (250.5, 60)


def test_the_days_of_visitors_are_a_whole_number() -> None:
    days = [Settings.from_environment({"USERFOLD_VISITOR_DAYS": value}).visitor_days for value in ("", "0", "36500")]
    assert days == [180, 0, 36_500]


@pytest.mark.parametrize("value", ["-1", "36501", "1.5", "1e3", "many", "٣", "9" * 9999])
def test_an_invalid_number_of_days_is_refused(value: str) -> None:
    with pytest.raises(InvalidSetting, match=r"USERFOLD_VISITOR_DAYS .* from 0 to 36,500"):
        Settings.from_environment({"USERFOLD_VISITOR_DAYS": value})


@pytest.mark.parametrize("name", ["USERFOLD_RATE_LIMIT", "USERFOLD_DRAIN_SECONDS"])
@pytest.mark.parametrize("value", ["-1", "1000001", "1e3", "nan", "many", "٣"])
def test_an_invalid_number_is_refused_with_the_name_of_its_variable(name: str, value: str) -> None:
    with pytest.raises(InvalidSetting, match=name):
        Settings.from_environment({name: value})


@pytest.mark.parametrize("value", ["debug", "INFO", "0"])
def test_an_unknown_log_level_is_refused(value: str) -> None:
    with pytest.raises(InvalidSetting, match="USERFOLD_LOG_LEVEL must be one of info, warning, error"):
        Settings.from_environment({"USERFOLD_LOG_LEVEL": value})
