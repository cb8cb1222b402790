import pytest

from runtime.client_library import OTHER, client_library


@pytest.mark.parametrize(
    ("user_agent", "library"),
    [
        ("moesifapi-python/1.5.5", "moesifapi-python/1.5.5"),
        ("moesifasgi-python/None", "moesifasgi-python"),
        ("Go-http-client/1.1", "Go-http-client/1.1"),
        ("curl/7.88.1", "curl/7.88.1"),
        ("Python/3.11 aiohttp/3.9.1", "aiohttp/3.9.1"),
        ("my-service/2.0 grpc-python-asyncio/1.60.0 grpc-c/37.0.0 (linux; chttp2)", "grpc-python-asyncio/1.60.0"),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", "browser"),
        ("axios", "axios"),
        ("curl/7.secret", "curl/7"),
        ("curl/123456789", "curl"),
        ("john@acmeinc.com", OTHER),
        ("é" * 10_000, OTHER),
        ("x" * 300 + " curl/7.88.1", OTHER),
        ("", ""),
    ],
)
def test_a_library_has_a_known_name_and_a_version_of_digits(user_agent: str, library: str) -> None:
    assert client_library(user_agent) == library


def test_a_library_in_a_browser_names_itself_in_a_header_of_its_own() -> None:
    assert client_library("Mozilla/5.0 (X11)", "moesif-browser-js/1.8.13") == "moesif-browser-js/1.8.13"
    assert client_library("Mozilla/5.0 (X11)", "me@acme.com") == "browser"
