"""Settings from the environment, and the message for each that cannot be used."""

import pytest

from gateway.settings import InvalidSetting, Settings, split_address


def test_nothing_set_means_the_defaults() -> None:
    settings = Settings.from_environment({"USERFOLD_HTTP_ADDRESS": "", "USERFOLD_PATH_PREFIX": ""})
    assert settings == Settings(
        http_address="127.0.0.1:8080",
        grpc_address="127.0.0.1:50051",
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
            "USERFOLD_PATH_PREFIX": "api//userfold/",
            "USERFOLD_TRUSTED_PROXIES": "10.0.0.1, 192.168.0.0/16,::1,",
            "USERFOLD_REGION": "eu",
            "USERFOLD_GATEWAY_METRICS_ADDRESS": "0.0.0.0:9100",
            "USERFOLD_WORKERS": "64",
            "USERFOLD_LOG_LEVEL": "warning",
        }
    ) == Settings(
        http_address="[::1]:0",
        grpc_address="unix:/run/userfold.sock",
        path_prefix="/api/userfold",
        trusted_proxies=("10.0.0.1", "192.168.0.0/16", "::1"),
        region="eu",
        metrics_address="0.0.0.0:9100",
        workers=64,
        log_level="warning",
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
        ("USERFOLD_GRPC_ADDRESS", "localhost"),
        ("USERFOLD_PATH_PREFIX", "/a b"),
        ("USERFOLD_PATH_PREFIX", "/a?b"),
        ("USERFOLD_TRUSTED_PROXIES", "*"),
        ("USERFOLD_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("USERFOLD_GATEWAY_METRICS_ADDRESS", "9100"),
        ("USERFOLD_WORKERS", "0"),
        ("USERFOLD_WORKERS", "65"),
        ("USERFOLD_WORKERS", "many"),
    ],
)
def test_a_value_that_cannot_be_used_names_its_variable(name: str, value: str) -> None:
    with pytest.raises(InvalidSetting, match=name):
        Settings.from_environment({name: value})


def test_an_address_is_a_host_and_a_port() -> None:
    assert split_address("X", "[::1]:8080") == ("::1", 8080)
    assert split_address("X", "localhost:0") == ("localhost", 0)
