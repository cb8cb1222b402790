"""The token of the operator, which no application has."""

import hmac
from collections.abc import Sequence

from gateway.errors.rendering import Refusal, refusal

_SCHEME = "bearer "


class OperatorToken:
    """A token that requests send as `Authorization: Bearer TOKEN`."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    def refusal(self, authorizations: Sequence[str]) -> Refusal | None:
        """Why a request with these headers is refused; None if it has the token."""
        if not authorizations:
            return _refused("CREDENTIAL_MISSING")
        if len(authorizations) > 1:
            return refusal("CREDENTIAL_AMBIGUOUS")
        sent = authorizations[0]
        is_bearer = sent[: len(_SCHEME)].lower() == _SCHEME
        # In the same time for every wrong token.
        if not is_bearer or not hmac.compare_digest(sent[len(_SCHEME) :].strip().encode(), self._token):
            return _refused("CREDENTIAL_UNKNOWN")
        return None


def _refused(reason: str) -> Refusal:
    refused = refusal(reason)
    refused.status.message = "Send the gateway's USERFOLD_METRICS_TOKEN as Authorization: Bearer."
    return refused
