"""The limits of what is accepted. The merge table in the documentation gives the source of each."""

ID_BYTES = 512
"""A user id, company id or anonymous id, in UTF-8."""

TEXT_BYTES = 8192
"""A session token, a user agent, or a field of a campaign, in UTF-8."""

ETAG_BYTES = 512
"""An etag, in UTF-8. The server's own have 22 bytes."""

IP_ADDRESS_BYTES = 512
"""A string in `ip_address`, which is stored even if it is no IP address."""

METADATA_LEVELS = 20
"""Nested objects and arrays, of which `metadata` itself is the first. MongoDB's pipelines fail at 30."""

METADATA_LEAVES = 1000
"""Paths in one update's `metadata` that it sets or removes. An array is one path, and so is each object on the way."""

METADATA_VALUES = 10_000
"""Values of any kind in one update's `metadata`, including those inside arrays, and objects and arrays themselves."""

METADATA_OPERATIONS = 100
"""Operations on metadata in one update."""

OPERATION_VALUES = 100
"""Values that one operation adds to an array or removes from it. MongoDB compares each with each element there."""

PROFILE_VALUES = 50_000
"""Values in a stored profile, counted like those of an update."""

UPDATE_BYTES = 4 * 1024 * 1024
"""The size of one update as a MongoDB operation. MongoDB's own limit is 16 MiB."""

PROFILE_BYTES = 1024 * 1024
"""A stored profile, as BSON."""

ALIASES = 1000
"""Session tokens of one profile. A new one replaces the oldest."""

ANONYMOUS_IDS = 100
"""Anonymous ids that one profile keeps. A new one replaces the oldest."""

MERGED_USERS = 100
"""Ids of users who were merged into one that its profile keeps. A new one replaces the oldest."""

ABSORPTIONS = 100
"""Absorptions that a profile remembers, so that none is repeated after an interruption."""

CLEAR_FIELDS = 20
"""Names in one update's `clear_fields`."""

BATCH_UPDATES = 1000
"""Items in one batch."""

GROUP_UPDATES = 150
"""Updates that are written to MongoDB in one bulk. Updates that arrive meanwhile wait for all of them."""

GROUP_BYTES = 2 * 1024 * 1024
"""The size of the updates of one bulk. A single update may be larger."""

GROUP_UNPLANNED_BYTES = 64 * 1024
"""The size of the messages that are planned in one turn of the event loop, when a group is made. A single message may
be larger."""

SLICE_BYTES = 16 * 1024
"""The size of the messages of a batch that are planned in one turn of the event loop."""

WAITING_UPDATES = 10_000
"""Updates that are queued or in flight in one server, at most half of them of one application. More are refused with
OVERLOADED."""

WAITING_BYTES = 128 * 1024 * 1024
"""The approximate size of those updates."""

CALLS = 2000
"""Calls in progress in one server, without streams, at most half of them of one application."""

CALL_BYTES = 256 * 1024 * 1024
"""The size of the messages of those calls, shared alike. A message that is being received does not count yet."""

UNVERIFIED_CALLS = 1000
"""Calls and streams that wait for the look-up of a credential that is not cached."""

STREAMS = 200
"""Streams of callers in one server, at most half of them of one application."""

STREAM_IDLE_SECONDS = 300
"""How long a stream may wait for its next message."""

BATCH_STREAMS = 1000
"""Streams of gateways in one server. A gateway keeps some for each of its busy applications."""

LOOK_UPS = 200
LOOK_UPS_AT_ONCE = 4
"""Reads of single users: how many may be in progress, and how many may query MongoDB concurrently, so that writes have
room. One application has at most all but one of these slots. Look-ups of session tokens are grouped instead."""

QUERIES = 32
QUERIES_AT_ONCE = 3
"""The same for lists, counts, reports, and batches of reads and exports, each of which may take seconds."""

CHANGES = 100
CHANGES_AT_ONCE = 4
"""The same for erasures and for the removal of aliases."""

DRY_RUNS = 32
DRY_RUNS_AT_ONCE = 3
"""The same for dry runs of updates, of which a batch is one."""

STREAM_UPDATES = 4000
"""Unacknowledged updates of one stream. The server reads no more until some are acknowledged."""

STREAM_BYTES = 4 * 1024 * 1024
"""The size of the updates of one stream message that are submitted together. A single update may be larger."""

MESSAGE_BYTES = 32 * 1024 * 1024
"""A gRPC message, of a caller or of the server."""

REPORTED = 20
"""Violations or warnings that are reported for one update."""

SUPPRESS_DAYS = 3650
"""Days for which updates of an erased user may be suppressed."""

FILTER_BYTES = 4096
"""A filter, in UTF-8."""

FILTER_COMPARISONS = 50
"""Comparisons in one filter."""

FILTER_LEVELS = 20
"""Nested `AND`, `OR` and `NOT`. MongoDB accepts queries of 100 levels, and each of these is two."""

PATHS_BYTES = 4096
"""A list of fields, in UTF-8."""

PATHS = 100
"""Fields in such a list."""

PAGE_USERS = 1000
"""The limit of users on one page of a list or a look-up. A larger `page_size` counts as this."""

PAGE_USERS_BY_DEFAULT = 100
"""Users on a page if the caller sets no size."""

SUGGESTIONS = 50
"""The limit of users in one response of SuggestUsers. A larger `page_size` counts as this."""

SUGGESTIONS_BY_DEFAULT = 10
"""Suggestions if the caller sets no number."""

SUGGESTED_CHARACTERS = 512
"""Characters of a string in the metadata of a suggestion. No email address is longer."""

PAGE_TOKEN_BYTES = 8192
"""A page token. The longest that the server returns has 6 KiB."""

ORDER_BY_BYTES = 64
"""The order of a list."""

ANSWER_BYTES = 8 * 1024 * 1024
"""The size of the profiles in one response, as a message, as JSON, and as BSON in the database. A response holds at
least one profile, which may be larger."""

ANSWER_WORK = 500_000
"""Steps in which the profiles of one response are translated: a value in JSON is one step, a value in a `Struct` two.
Ordinary profiles do not reach it."""

SLICE_WORK = 8000
"""Such steps that are done in one turn of the event loop."""

GROUP_LOOKUP_BYTES = 4 * 1024 * 1024
GROUPED_LOOKUP_BYTES = 64 * 1024
"""The size, as BSON, of the users that a group of look-ups finds, and of those that each look-up in it finds. A look-up
that finds more has a query of its own."""

GROUPED_METADATA_BYTES = 16 * 1024
"""The largest metadata, as BSON, that a group of look-ups reads."""

REPORT_GROUPS = 1000
"""Groups in one report."""

REPORT_GROUPS_BY_DEFAULT = 100
"""Groups in a report if the caller sets no number."""

REPORT_FIELDS = 4
"""Campaign fields by which a report is grouped."""

REPORT_IN_PARTS_USERS = 200_000
"""Users from which a report is read in two parts at once, one such report at a time."""

REPORT_PART_GROUPS = 20_000
"""Groups of such a part, which the server merges. A report with more is read as a whole."""

DECLARED_PATHS = 4
DECLARED_PATHS_IN_ALL = 32
"""Paths of one application, and of all, that are declared for an index. MongoDB has 64 indexes of a collection."""

APPLICATIONS = 1000
"""Applications, from which on callers can create no more."""

APPLICATIONS_OF_ONE = 20
"""Applications that callers create with the credentials of one application, and of those that were created so. Each has
a share of a server of its own, and more would take from others."""

CREDENTIALS = 1000
"""Credentials of one application, those that have expired included."""

NAME_CHARACTERS = 100
"""The name of an application or a credential."""

CREDENTIAL_DAYS = 36_500
"""Days for which a credential may be valid, if it expires."""

OVERLAP_HOURS = 720
OVERLAP_HOURS_BY_DEFAULT = 24
"""Hours for which a rotated credential stays valid."""

UNINDEXED_USERS = 1_500_000
"""Users of an application that a query reads at most if no index serves it: more would take longer than it may."""

QUERY_SECONDS = 5
"""How long MongoDB may work on a list or a count."""

REPORT_SECONDS = 20
"""How long MongoDB may work on a report."""
