"""The same API as a Postman collection, version 2.1."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

_SCHEMA: Final = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
_CREDENTIALS: Final[Mapping[str, Mapping[str, Any]]] = {
    "collectorKey": {
        "type": "apikey",
        "apikey": [
            {"key": "key", "value": "X-Moesif-Application-Id", "type": "string"},
            {"key": "value", "value": "{{collector_key}}", "type": "string"},
            {"key": "in", "value": "header", "type": "string"},
        ],
    },
    "managementToken": {
        "type": "bearer",
        "bearer": [{"key": "token", "value": "{{management_token}}", "type": "string"}],
    },
}


def collection(document: Mapping[str, Any]) -> dict[str, Any]:
    """A collection with a request for each example of the document, and one for each operation that has none.

    Its variables are `base_url`, `collector_key` and `management_token`.
    """
    folders: dict[str, list[dict[str, Any]]] = {tag["name"]: [] for tag in document["tags"]}
    for path, item in document["paths"].items():
        for verb, operation in item.items():
            folders[operation["tags"][0]] += _items(path, verb.upper(), operation)
    info = document["info"]
    return {
        "info": {
            "name": info["title"],
            "description": info["description"],
            "version": info["version"],
            "schema": _SCHEMA,
        },
        "item": [{"name": name, "item": items} for name, items in folders.items()],
        "variable": [
            {"key": "base_url", "value": "http://127.0.0.1:8080"},
            {"key": "collector_key", "value": ""},
            {"key": "management_token", "value": ""},
        ],
    }


def _items(path: str, verb: str, operation: Mapping[str, Any]) -> list[dict[str, Any]]:
    parameters = operation.get("parameters", [])
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    bodies = content.get("examples", {})
    names = dict.fromkeys([*bodies, *(name for each in parameters for name in each.get("examples", {}))]) or {"": None}
    return [
        {
            "name": bodies.get(name, {}).get("summary") or operation["summary"],
            "request": _request(path, verb, operation, name, bodies),
        }
        for name in names
    ]


def _request(
    path: str, verb: str, operation: Mapping[str, Any], name: str, bodies: Mapping[str, Any]
) -> dict[str, Any]:
    values: dict[str, dict[str, Any]] = {"path": {}, "query": {}}
    for parameter in operation.get("parameters", []):
        if name in parameter.get("examples", {}):
            values[parameter["in"]][parameter["name"]] = parameter["examples"][name]["value"]
    shown = re.sub(r"\{(\w+)\}", lambda found: str(values["path"].get(found[1], found[1])), path)
    query = [{"key": key, "value": _text(value)} for key, value in values["query"].items()]
    raw = "{{base_url}}" + shown + ("?" + "&".join(f"{each['key']}={each['value']}" for each in query) if query else "")
    url: dict[str, Any] = {"raw": raw, "host": ["{{base_url}}"], "path": shown.removeprefix("/").split("/")}
    request: dict[str, Any] = {
        "method": verb,
        "description": operation.get("description", operation["summary"]),
        "header": [],
        "url": {**url, "query": query} if query else url,
        "auth": {"type": "noauth"},
    }
    if operation["security"]:
        request["auth"] = _CREDENTIALS[next(iter(operation["security"][0]))]
    if name in bodies:
        request["header"] = [{"key": "Content-Type", "value": "application/json"}]
        body = json.dumps(bodies[name]["value"], indent=2, ensure_ascii=False)
        request["body"] = {"mode": "raw", "raw": body, "options": {"raw": {"language": "json"}}}
    return request


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(value)
    return value if isinstance(value, str) else json.dumps(value)
