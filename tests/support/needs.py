"""What each method requires of a credential, by the name of the method."""

from collections.abc import Mapping
from typing import Final

from server.accounts.scopes import Need
from server.rpc.methods import METHODS

NEEDS: Final[Mapping[str, Need]] = {
    full_name.rpartition(".")[2]: rule.need for full_name, rule in METHODS.items() if rule.need
}
"""Without the methods that any credential may call. Both methods named BatchUpdateUsers require the same."""
