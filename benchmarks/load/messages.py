"""The updates of `users` as protobuf messages, for calls over gRPC."""

from collections.abc import Sequence
from typing import Final

from google.protobuf.json_format import ParseDict
from userfold.v1.user_pb2 import UserUpdate
from userfold.v1.user_service_pb2 import LookupUsersRequest, StreamUpdateUsersRequest, UpdateUserRequest

from benchmarks.load.users import token_of, update_of

LOOKUP_USERS: Final = "/userfold.v1.UserService/LookupUsers"
UPDATE_USER: Final = "/userfold.v1.UserService/UpdateUser"
STREAM_UPDATE_USERS: Final = "/userfold.v1.UserService/StreamUpdateUsers"
_TEMPLATE: Final = ParseDict(update_of(""), UserUpdate())


def message_of(user_id: str) -> UserUpdate:
    """The update of a user, equal to that of `update_of`."""
    message = UserUpdate()
    message.CopyFrom(_TEMPLATE)
    message.user_id = user_id
    message.session_token += user_id
    email = message.metadata.fields["email"]
    email.string_value = user_id + email.string_value
    return message


def unary_frame(user_id: str) -> bytes:
    """A request of UpdateUser."""
    return UpdateUserRequest(user=message_of(user_id)).SerializeToString()


def stream_frame(ids: Sequence[str]) -> bytes:
    """A request message of StreamUpdateUsers."""
    return StreamUpdateUsersRequest(users=map(message_of, ids)).SerializeToString()


def lookup_frame(user_id: str) -> bytes:
    """A request of LookupUsers that finds a user by its session token."""
    return LookupUsersRequest(session_token=token_of(user_id)).SerializeToString()
