"""What is said before the generated part of each reference page."""

from collections.abc import Mapping
from typing import Final

NOTE: Final = (
    "<!-- Written by `make docs` from the comments in protos/userfold/v1/ and the examples in docs/examples/."
    " Change those. -->"
)

_KEYS: Final = """\
The examples of this page are one conversation with the demo application of `make run`, from top to bottom. Its keys are
in a file of shell variables:

```sh
. .userfold/demo.env
```
"""

HTTP: Final[Mapping[str, str]] = {
    "users": f"""\
The routes of the gateway for users, each with the gRPC method that serves it. Paths, queries, bodies and credentials
are described in [the HTTP API](../http-api.md), errors in [errors](../errors.md), and the types that are linked in
[messages](messages.md).

{_KEYS.strip()}""",
    "visitors": f"""\
The routes of the gateway for [visitors](../visitors.md), each with the gRPC method that serves it. Paths, queries,
bodies and credentials are described in [the HTTP API](../http-api.md), errors in [errors](../errors.md), and the types
that are linked in [messages](messages.md).

{_KEYS.strip()}

```sh
curl -s -X POST http://127.0.0.1:8080/v1/users \\
  -H "X-Moesif-Application-Id: $collector_key" \\
  -d '{{"anonymous_id":"visitor-7","session_token":"XXXXXXXXXX","campaign":{{"utm_source":"google"}}}}'
```

```json
{{}}
```""",
    "companies": f"""\
The routes of the gateway for [companies](../companies.md). Paths, queries, bodies and credentials are described in
[the HTTP API](../http-api.md), errors in [errors](../errors.md), and the types that are linked in
[messages](messages.md).

{_KEYS.strip()}""",
    "campaigns": f"""\
The routes of the gateway for reports of campaigns. Queries, bodies and credentials are described in
[the HTTP API](../http-api.md), errors in [errors](../errors.md), and the types that are linked in
[messages](messages.md).

{_KEYS.strip()}

```sh
curl -s -X POST http://127.0.0.1:8080/v1/users \\
  -H "X-Moesif-Application-Id: $collector_key" \\
  -d '{{"user_id":"12345","campaign":{{"utm_source":"google","utm_medium":"cpc"}},"metadata":{{"value":24000}}}}'
```

```json
{{}}
```""",
    "metadata": f"""\
The route of the gateway for the [catalogue of metadata](../finding-users.md#what-metadata-there-is). Credentials are
described in [the HTTP API](../http-api.md), errors in [errors](../errors.md), and the types that are linked in
[messages](messages.md).

{_KEYS.strip()}

```sh
curl -s -X POST http://127.0.0.1:8080/v1/users \\
  -H "X-Moesif-Application-Id: $collector_key" \\
  -d '{{"user_id":"12345","metadata":{{"plan":"DE-123","lifetime_value":24000,"tags":["vip"]}}}}'
```

```json
{{}}
```""",
    "status": f"""\
The route of the gateway for the [status of a server](../operations.md#the-status-of-a-server). Credentials are
described in [the HTTP API](../http-api.md), errors in [errors](../errors.md), and the types that are linked in
[messages](messages.md).

{_KEYS.strip()}""",
    "refusals": f"""\
The route of the gateway for refusals. Credentials are described in [the HTTP API](../http-api.md), errors in
[errors](../errors.md), and the types that are linked in [messages](messages.md).

{_KEYS.strip()}

```sh
curl -s -X POST http://127.0.0.1:8080/v1/users \\
  -H "X-Moesif-Application-Id: $collector_key" \\
  -d '{{"user_id":12345,"ip_address":[]}}'
```

```json
{{
  "code": 3,
  "status": "INVALID_ARGUMENT",
  "message": "ip_address: must be a string",
  "details": [
    {{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "INVALID_REQUEST", "domain": "userfold"}},
    {{
      "@type": "type.googleapis.com/google.rpc.BadRequest",
      "field_violations": [{{"field": "ip_address", "description": "must be a string", "reason": "WRONG_TYPE"}}]
    }}
  ]
}}
```

Refusals are stored every two seconds, by the gateway and then by the server:

```sh
sleep 6
```""",
    "applications": f"""\
The routes of the gateway for [applications](../applications.md). Credentials are described in
[the HTTP API](../http-api.md), errors in [errors](../errors.md), and the types that are linked in
[messages](messages.md).

{_KEYS.strip()}""",
    "credentials": f"""\
The routes of the gateway for [credentials](../applications.md). Credentials of calls are described in
[the HTTP API](../http-api.md), errors in [errors](../errors.md), and the types that are linked in
[messages](messages.md).

{_KEYS.strip()}""",
}

_STUB: Final = """\
The examples of this page are one program, from top to bottom, with the stubs of the package
[`userfold-api`](../grpc-clients.md) and the server of `make run`:

```python
import grpc
from google.protobuf.json_format import MessageToJson
from google.rpc import error_details_pb2
from userfold.v1 import {modules}
from userfold.v1.{service}_pb2_grpc import {stub}

channel = grpc.insecure_channel("127.0.0.1:50051")
{name} = {stub}(channel)
credential = [("authorization", "Bearer MANAGEMENT_TOKEN")]


def show(message):
    print(MessageToJson(message, preserving_proto_field_name=True))
```

What a program prints is shown below it, in ProtoJSON, where a field that has its default is left out and an `int64` is
a string. `MessageToJson` prints an error only where `error_details_pb2` is imported."""

GRPC: Final[Mapping[str, str]] = {
    "users": _STUB.format(
        modules="user_pb2, user_service_pb2", service="user_service", stub="UserServiceStub", name="users"
    ),
    "visitors": _STUB.format(
        modules="campaign_pb2, user_pb2, user_service_pb2, visitor_service_pb2",
        service="visitor_service",
        stub="VisitorServiceStub",
        name="visitors",
    )
    + """

```python
from userfold.v1.user_service_pb2_grpc import UserServiceStub

campaign = campaign_pb2.Campaign(utm_source="google")
update = user_pb2.UserUpdate(anonymous_id="visitor-7", session_token="XXXXXXXXXX", campaign=campaign)
request = user_service_pb2.UpdateUserRequest(user=update)
UserServiceStub(channel).UpdateUser(request, timeout=5, metadata=credential)
```""",
    "companies": _STUB.format(
        modules="company_pb2, company_service_pb2",
        service="company_service",
        stub="CompanyServiceStub",
        name="companies",
    ),
    "campaigns": _STUB.format(
        modules="campaign_pb2, campaign_service_pb2, user_pb2, user_service_pb2",
        service="campaign_service",
        stub="CampaignServiceStub",
        name="campaigns",
    )
    + """

```python
from userfold.v1.user_service_pb2_grpc import UserServiceStub

campaign = campaign_pb2.Campaign(utm_source="google", utm_medium="cpc")
update = user_pb2.UserUpdate(user_id="12345", campaign=campaign, metadata={"value": 24000})
request = user_service_pb2.UpdateUserRequest(user=update)
UserServiceStub(channel).UpdateUser(request, timeout=5, metadata=credential)
```""",
    "metadata": _STUB.format(
        modules="metadata_service_pb2, user_pb2, user_service_pb2",
        service="metadata_service",
        stub="MetadataServiceStub",
        name="catalogues",
    )
    + """

```python
from userfold.v1.user_service_pb2_grpc import UserServiceStub

update = user_pb2.UserUpdate(user_id="12345", metadata={"plan": "DE-123", "lifetime_value": 24000})
request = user_service_pb2.UpdateUserRequest(user=update)
UserServiceStub(channel).UpdateUser(request, timeout=5, metadata=credential)
```""",
    "status": _STUB.format(
        modules="status_service_pb2", service="status_service", stub="StatusServiceStub", name="statuses"
    ),
    "refusals": _STUB.format(
        modules="refusal_service_pb2, user_pb2, user_service_pb2",
        service="refusal_service",
        stub="RefusalServiceStub",
        name="refusals",
    )
    + """

```python
import time

from userfold.v1.user_service_pb2_grpc import UserServiceStub

request = user_service_pb2.BatchUpdateUsersRequest(users=[user_pb2.UserUpdate(company_id="67890")])
UserServiceStub(channel).BatchUpdateUsers(request, timeout=5, metadata=credential)
time.sleep(4)  # Refusals are stored every two seconds.
```""",
    "applications": _STUB.format(
        modules="application_service_pb2",
        service="application_service",
        stub="ApplicationServiceStub",
        name="applications",
    ),
    "credentials": _STUB.format(
        modules="credential_service_pb2", service="credential_service", stub="CredentialServiceStub", name="credentials"
    ),
}

MESSAGES: Final = """\
The messages that requests and responses are made of, with the types of the protos. In JSON, over HTTP:

| in the protos | in JSON |
| --- | --- |
| `string`, `bool`, `double`, `int32` | a string, a boolean, a number |
| `int64` | a number, which stays below 2^53 |
| `google.protobuf.Timestamp` | a string in RFC 3339, such as `2026-01-02T03:04:05.678Z` |
| `google.protobuf.Struct`, `ListValue`, `Value` | an object, an array, any value |
| `repeated` | an array |
| `optional`, or a message | a member that is left out where it is not set |
| `metadata_json` | none: `metadata` is an object over HTTP |

Names are as here, in snake_case, in every response; requests may also have them in camelCase."""

FIELD_REASONS: Final = """\
What is wrong with a field, or was done to it: every `reason` in a `google.rpc.BadRequest` of
[an error](../errors.md), and in a [`Warning`](messages.md#warning).

In an error, the field made its request, or its item of a batch, fail: nothing of that is stored. In a warning, it did
not: what was sent is stored as described here. A later version may give reasons that are not listed."""
