"""Which client library sent a request, by its headers, as logs and lists of refusals show it."""

import re
from functools import lru_cache
from typing import Final

OTHER: Final = "other"
"""A library that is not known. Its name may be any text of a caller's, so it is never shown."""

_READ: Final = 256
"""The bytes of a header that are read."""

_KNOWN: Final = {
    name.lower(): name
    for name in (
        # The libraries of the users API.
        *("moesifapi-python", "moesifapi-java", "moesifapi-go", "moesifapi-ruby", "moesifapi-csharp", "moesifapi-php"),
        *("moesifapi-nodejs", "moesif-nodejs", "moesif-browser-js", "moesif-servlet", "moesif-express", "moesif-ruby"),
        *("moesifwsgi-python", "moesifasgi-python", "moesifdjango-python", "moesif-aws-lambda-nodejs"),
        *("moesif-aws-lambda-python", "moesif-laravel", "moesif-dotnet", "moesifmiddleware-go", "userfold"),
        # gRPC.
        *("grpc-python", "grpc-python-asyncio", "grpc-go", "grpc-java-netty", "grpc-java-okhttp", "grpc-java-cronet"),
        *("grpc-node-js", "grpc-node", "grpc-dotnet", "grpc-csharp", "grpc-ruby", "grpc-php", "grpc-c++", "grpc-swift"),
        *("connect-go", "connect-es", "tonic", "dart-grpc"),
        # HTTP.
        *("curl", "Wget", "HTTPie", "PostmanRuntime", "insomnia", "python-requests", "python-httpx", "python-urllib3"),
        *("Python-urllib", "aiohttp", "Go-http-client", "okhttp", "Apache-HttpClient", "Java-http-client", "Java"),
        *("axios", "node-fetch", "undici", "got", "node", "GuzzleHttp", "Faraday", "Ruby", "rest-client", "reqwest"),
        *("RestSharp", "Dart", "Deno", "Bun", "k6"),
    )
} | {"mozilla": "browser", "browser": "browser"}
"""The name of each library, by the name in its header in lower case."""

_PRODUCT: Final = re.compile(r"([A-Za-z][A-Za-z0-9+_.-]{0,40})(?:/([0-9]{1,4}(?:\.[0-9]{1,4}){0,3})(?![0-9]))?")


@lru_cache(maxsize=256)
def client_library(user_agent: str, sdk: str = "") -> str:
    """The name and the version of a client library, such as `moesifapi-python/1.5.5`; OTHER for one that is not known.

    `sdk` is the header X-Moesif-SDK, which libraries in browsers send, since they cannot set a User-Agent. Empty where
    both are.
    """
    for header in (sdk, user_agent):
        for product in header[:_READ].split(" "):
            if (match := _PRODUCT.match(product)) and (name := _KNOWN.get(match[1].lower())):
                return f"{name}/{match[2]}" if match[2] and name != "browser" else name
    return OTHER if user_agent or sdk else ""
