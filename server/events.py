"""The events of the server's log, for operators."""

from collections.abc import Mapping
from typing import Final

from runtime.reporting import events
from runtime.reporting.events import Event

EVENTS: Final[Mapping[str, Event]] = {
    **events.EVENTS,
    "ready": Event("the server serves"),
    "stopping": Event("the server was told to stop by a signal, reports that it is not ready, and finishes its work"),
    "database unavailable": Event(
        "MongoDB's primary has not responded for two seconds; the server is not ready, and refuses requests with"
        " DATABASE_UNAVAILABLE or WRITE_OUTCOME_UNKNOWN",
        "look at MongoDB's log and rs.status(); an election ends by itself, and then `ready again` follows",
    ),
    "no replica set": Event(
        "MongoDB is no replica set, or one that is not initiated; the server is not ready, refuses requests with"
        " DATABASE_UNAVAILABLE, and writes nothing",
        "as `fault` says: start mongod with --replSet, and initiate the set once; the server then serves by itself",
    ),
    "users erased": Event("a call erased users: of `items` that it named, `deleted` had a profile"),
    "users exported": Event("a call exported users: of `items` that it named, `exported`"),
    "visitors erased": Event("a call erased visitors: of `items` that it named, `deleted` had a profile"),
    "visitors exported": Event("a call exported visitors: of `items` that it named, `exported`"),
    "visitors expired": Event(
        "`deleted` visitors had no update for the days of USERFOLD_VISITOR_DAYS, and are deleted"
    ),
    "expiry waiting": Event(
        "visitors that have expired cannot be deleted now; servers try again every minute",
        "see `database unavailable`; with another `error`, look at MongoDB's log",
    ),
    "companies erased": Event("a call erased a company: `deleted` is 0 where there was no profile"),
    "companies exported": Event("a call exported a company"),
    "aliases removed": Event(
        "a call removed session tokens from users: of `items` that it named, `removed` were there"
    ),
    "suppression lifted": Event("a call ended the suppression of an erased user; `lifted` is 0 where there was none"),
    "application renamed": Event("a call gave an application another name"),
    "deletion begun": Event("a call began to delete an application; its credentials are deleted"),
    "application created": Event(
        "a call created an application, whose id is `created`, with the credential of another one"
    ),
    "application deleted": Event("a server has deleted the last of an application, whose deletion a call began"),
    "deletion waiting": Event(
        "the data of an application that is being deleted cannot be deleted now; servers try again every ten seconds",
        "see `database unavailable`",
    ),
    "users merged": Event("a call merged a user into another one; `merged` is 0 where it was merged before"),
    "absorption waiting": Event(
        "visitors that a stopped server left half merged into their users cannot be merged now; servers try again every"
        " ten seconds",
        "see `database unavailable`",
    ),
    "credential created": Event("a call created a credential, whose id is `created`"),
    "credential rotated": Event("a call replaced a credential, whose id is `replaced`, by another one, `created`"),
    "credential revoked": Event("a call revoked a credential, whose id is `revoked`"),
    "ready again": Event("MongoDB responds again, and the server serves"),
    "migrating": Event("profiles are changed to the form of a new schema version, in small steps, while servers serve"),
    "migrated": Event("the schema has its new version"),
    "migration waiting": Event(
        "the migration waits until the last server of an older version has ended, or until MongoDB responds",
        "with `oldest`, stop the servers of older versions; with `error`, see `database unavailable`",
    ),
    "indexes waiting": Event(
        "declared indexes cannot be built now; queries are served, or refused, as before",
        "see `database unavailable`; with another `error`, look at MongoDB's log",
    ),
}
"""All events, by the first word of their lines."""
