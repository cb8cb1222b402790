import pytest

from server.settings import InvalidSetting, Settings, split_address


def test_an_empty_environment_is_a_laptop() -> None:
    assert Settings.from_environment({"USERFOLD_MONGODB_URI": ""}) == Settings(
        mongodb_uri=None,
        database="userfold",
        data_dir=".userfold/",
        grpc_address="127.0.0.1:50051",
        metrics_address=None,
        workers=1,
        log_level="info",
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
        }
    )
    assert settings == Settings("mongodb://db/", "d", "/data", "[::1]:0", "127.0.0.1:9100", 4, "error")


@pytest.mark.parametrize("name", ["USERFOLD_GRPC_ADDRESS", "USERFOLD_SERVER_METRICS_ADDRESS"])
@pytest.mark.parametrize("value", ["50051", ":50051", "host:", "host:http", "host:65536", "host:٣"])
def test_a_bad_address_is_refused_by_the_name_of_its_variable(name: str, value: str) -> None:
    with pytest.raises(InvalidSetting, match=name):
        Settings.from_environment({name: value})


def test_an_address_is_split() -> None:
    assert split_address("X", "[::1]:50051") == ("::1", 50051)


@pytest.mark.parametrize("value", ["0", "65", "1.5", "-1", "two", "٣", "9" * 9999])
def test_a_number_of_workers_that_cannot_be_is_refused(value: str) -> None:
    with pytest.raises(InvalidSetting, match=r"USERFOLD_WORKERS .* from 1 to 64"):
        Settings.from_environment({"USERFOLD_WORKERS": value})


@pytest.mark.parametrize("value", ["debug", "INFO", "0"])
def test_a_log_level_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(InvalidSetting, match="USERFOLD_LOG_LEVEL must be one of info, warning, error"):
        Settings.from_environment({"USERFOLD_LOG_LEVEL": value})
