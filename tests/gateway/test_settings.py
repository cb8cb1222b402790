"""Settings from the environment, and the message for each invalid one."""

from pathlib import Path

import pytest

from gateway.settings import InvalidSetting, Settings, split_address
from runtime.certificates import CertificateFiles, PemFile


def test_the_defaults_hold_where_nothing_is_set() -> None:
    settings = Settings.from_environment({"USERFOLD_HTTP_ADDRESS": "", "USERFOLD_PATH_PREFIX": ""})
    assert settings == Settings(
        http_address="127.0.0.1:8080",
        grpc_address="127.0.0.1:50051",
        admin_address="127.0.0.1:8081",
        path_prefix="",
        trusted_proxies=(),
        region="local",
        metrics_address=None,
        rpc_seconds=9.0,
        read_seconds=25.0,
    )


def test_everything_can_be_set() -> None:
    assert Settings.from_environment(
        {
            "USERFOLD_HTTP_ADDRESS": "[::1]:0",
            "USERFOLD_GRPC_ADDRESS": "unix:/run/userfold.sock",
            "USERFOLD_ADMIN_ADDRESS": "0.0.0.0:0",
            "USERFOLD_METRICS_TOKEN": "0123456789abcdef",
            "USERFOLD_CONSOLE_GRAVATAR": "on",
            "USERFOLD_PATH_PREFIX": "api//userfold/",
            "USERFOLD_TRUSTED_PROXIES": "10.0.0.1, 192.168.0.0/16,::1,",
            "USERFOLD_REGION": "eu",
            "USERFOLD_GATEWAY_METRICS_ADDRESS": "0.0.0.0:9100",
            "USERFOLD_WORKERS": "64",
            "USERFOLD_HTTP_CONNECTIONS": "100000",
            "USERFOLD_LOG_LEVEL": "warning",
            "USERFOLD_HTTP_TLS_CERTIFICATE": "/tls/http.pem",
            "USERFOLD_HTTP_TLS_KEY": "/tls/http.key",
            "USERFOLD_ADMIN_TLS_CERTIFICATE": "/tls/admin.pem",
            "USERFOLD_ADMIN_TLS_KEY": "/tls/admin.key",
            "USERFOLD_GRPC_TLS_CA": "/tls/ca.pem",
            "USERFOLD_GRPC_TLS_CLIENT_CERTIFICATE": "/tls/client.pem",
            "USERFOLD_GRPC_TLS_CLIENT_KEY": "/tls/client.key",
            "USERFOLD_GRPC_TLS_SERVER_NAME": "server.internal",
        }
    ) == Settings(
        http_address="[::1]:0",
        grpc_address="unix:/run/userfold.sock",
        admin_address="0.0.0.0:0",
        metrics_token="0123456789abcdef",
        gravatar=True,
        path_prefix="/api/userfold",
        trusted_proxies=("10.0.0.1", "192.168.0.0/16", "::1"),
        region="eu",
        metrics_address="0.0.0.0:9100",
        workers=64,
        http_connections=100_000,
        log_level="warning",
        http_tls=CertificateFiles(
            PemFile("USERFOLD_HTTP_TLS_CERTIFICATE", Path("/tls/http.pem")),
            PemFile("USERFOLD_HTTP_TLS_KEY", Path("/tls/http.key")),
        ),
        admin_tls=CertificateFiles(
            PemFile("USERFOLD_ADMIN_TLS_CERTIFICATE", Path("/tls/admin.pem")),
            PemFile("USERFOLD_ADMIN_TLS_KEY", Path("/tls/admin.key")),
        ),
        grpc_tls=CertificateFiles(
            PemFile("USERFOLD_GRPC_TLS_CLIENT_CERTIFICATE", Path("/tls/client.pem")),
            PemFile("USERFOLD_GRPC_TLS_CLIENT_KEY", Path("/tls/client.key")),
            PemFile("USERFOLD_GRPC_TLS_CA", Path("/tls/ca.pem")),
        ),
        grpc_server_name="server.internal",
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("USERFOLD_HTTP_ADDRESS", "8080"),
        ("USERFOLD_HTTP_ADDRESS", ":8080"),
        ("USERFOLD_HTTP_ADDRESS", "localhost:http"),
        ("USERFOLD_HTTP_ADDRESS", "localhost:65536"),
        ("USERFOLD_HTTP_ADDRESS", "::1:8080"),
        ("USERFOLD_HTTP_ADDRESS", "[localhost]:8080"),
        ("USERFOLD_ADMIN_ADDRESS", "8081"),
        ("USERFOLD_ADMIN_ADDRESS", "none"),
        ("USERFOLD_METRICS_TOKEN", "0123456789abcde"),
        ("USERFOLD_CONSOLE_GRAVATAR", "yes"),
        ("USERFOLD_METRICS_TOKEN", "0123456789 abcdef"),
        ("USERFOLD_GRPC_ADDRESS", "localhost"),
        ("USERFOLD_PATH_PREFIX", "/a b"),
        ("USERFOLD_PATH_PREFIX", "/a?b"),
        ("USERFOLD_TRUSTED_PROXIES", "*"),
        ("USERFOLD_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("USERFOLD_GATEWAY_METRICS_ADDRESS", "9100"),
        ("USERFOLD_DRAIN_SECONDS", "61"),
        ("USERFOLD_DRAIN_SECONDS", "-1"),
        ("USERFOLD_WORKERS", "0"),
        ("USERFOLD_WORKERS", "65"),
        ("USERFOLD_WORKERS", "many"),
        ("USERFOLD_LOG_LEVEL", "debug"),
        ("USERFOLD_HTTP_CONNECTIONS", "0"),
        ("USERFOLD_HTTP_CONNECTIONS", "100001"),
        ("USERFOLD_GRPC_TLS_SERVER_NAME", "server.internal"),
    ],
)
def test_an_invalid_value_names_its_variable(name: str, value: str) -> None:
    with pytest.raises(InvalidSetting, match=name):
        Settings.from_environment({name: value})


def test_the_admin_listener_can_be_switched_off() -> None:
    assert Settings.from_environment({"USERFOLD_ADMIN_ADDRESS": "off"}).admin_address is None


def test_the_token_of_metrics_is_never_printed() -> None:
    assert "0123456789" not in repr(Settings.from_environment({"USERFOLD_METRICS_TOKEN": "0123456789abcdef"}))
    with pytest.raises(InvalidSetting) as caught:
        Settings.from_environment({"USERFOLD_METRICS_TOKEN": "0123456789"})
    assert "0123456789" not in str(caught.value)


def test_an_address_is_a_host_and_a_port() -> None:
    assert split_address("X", "[::1]:8080") == ("::1", 8080)
    assert split_address("X", "localhost:0") == ("localhost", 0)


def test_a_client_certificate_without_tls_is_refused() -> None:
    pair = {"USERFOLD_GRPC_TLS_CLIENT_CERTIFICATE": "c", "USERFOLD_GRPC_TLS_CLIENT_KEY": "k"}
    with pytest.raises(InvalidSetting, match=r"USERFOLD_GRPC_TLS_CLIENT_CERTIFICATE .* without USERFOLD_GRPC_TLS_CA"):
        Settings.from_environment(pair)
