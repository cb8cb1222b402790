import pytest

from runtime.settings import NAMES, InvalidSetting, unknown_variables, warnings_of, without_unknown


def test_known_and_empty_variables_and_those_of_others_are_no_concern() -> None:
    environment = dict.fromkeys(NAMES, "x") | {"USERFOLD_ANYTHING": "", "HOME": "/", "userfold_region": "x"}
    assert unknown_variables(environment) == {}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("USERFOLD_MONGO_URI", "USERFOLD_MONGODB_URI"),
        ("USERFOLD_HTTP_ADRESS", "USERFOLD_HTTP_ADDRESS"),
        ("USERFOLD_LOGLEVEL", "USERFOLD_LOG_LEVEL"),
        ("USERFOLD_WORKER", "USERFOLD_WORKERS"),
        ("USERFOLD_TRUSTED_PROXY", "USERFOLD_TRUSTED_PROXIES"),
        ("USERFOLD_GRPC_TLS_CLIENT_CERT", "USERFOLD_GRPC_TLS_CLIENT_CERTIFICATE or USERFOLD_GRPC_TLS_CLIENT_CA"),
    ],
)
def test_a_near_miss_is_an_error_that_suggests_the_name(name: str, meant: str) -> None:
    with pytest.raises(InvalidSetting, match=rf"^{name} is no setting of Userfold: did you mean {meant}\?$"):
        unknown_variables({name: "x"})


def test_another_unknown_variable_is_a_warning() -> None:
    environment = {"USERFOLD_TEAM": "growth", "USERFOLD_ADDRESS": "x:1", "USERFOLD_REGION": "eu"}
    assert warnings_of(environment) == [
        "USERFOLD_TEAM is no setting of Userfold, and has no effect",
        "USERFOLD_ADDRESS is no setting of Userfold, and has no effect"
        " (there is USERFOLD_HTTP_ADDRESS and USERFOLD_GRPC_ADDRESS)",
    ]
    assert without_unknown(environment) == {"USERFOLD_REGION": "eu"}


@pytest.mark.parametrize("service", ["USERFOLD", "USERFOLD_SERVER", "USERFOLD_GATEWAY_METRICS"])
def test_what_kubernetes_adds_for_a_service_is_no_concern(service: str) -> None:
    added = {
        f"{service}_SERVICE_HOST": "10.0.0.1",
        f"{service}_SERVICE_PORT": "50051",
        f"{service}_SERVICE_PORT_GRPC": "50051",
        f"{service}_PORT": "tcp://10.0.0.1:50051",
        f"{service}_PORT_50051_TCP": "tcp://10.0.0.1:50051",
        f"{service}_PORT_50051_TCP_PROTO": "tcp",
        f"{service}_PORT_50051_TCP_PORT": "50051",
        f"{service}_PORT_50051_TCP_ADDR": "10.0.0.1",
    }
    assert unknown_variables(added) == {}


def test_a_port_that_no_service_has_is_a_warning() -> None:
    assert list(unknown_variables({"USERFOLD_PORT": "8080"})) == ["USERFOLD_PORT"]
