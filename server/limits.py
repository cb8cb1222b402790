"""The limits of what is accepted. The source of each is the merge table in the README."""

ID_BYTES = 512
"""A user id, company id or anonymous id, in UTF-8."""

TEXT_BYTES = 8192
"""A session token, a user agent, a field of a campaign, in UTF-8."""

IP_ADDRESS_BYTES = 512
"""An IP address, which is kept even where it is none."""

METADATA_LEVELS = 20
"""Objects and arrays inside each other, `metadata` itself being the first. MongoDB's pipelines fail at 30."""

METADATA_LEAVES = 1000
"""Paths of one update's `metadata`: those that it sets or removes, an array being one, and those of the objects on the
way. 10,000 take MongoDB 0.24 s, 200,000 84 s."""

METADATA_VALUES = 10_000
"""Values of any kind in one update's `metadata`: those inside arrays, objects and arrays themselves included."""

PROFILE_VALUES = 50_000
"""Values in a stored profile, counted like those of an update."""

UPDATE_BYTES = 4 * 1024 * 1024
"""What one update may amount to as a MongoDB operation, whose hard limit is 16 MiB for everything in it."""

PROFILE_BYTES = 1024 * 1024
"""A stored profile, as BSON."""

ALIASES = 1000
"""Session tokens that lead to one profile; the oldest leave first."""

CLEAR_FIELDS = 20
"""Names in one update's `clear_fields`."""

BATCH_UPDATES = 1000
"""Updates in one batch."""

GROUP_UPDATES = 150
"""Updates that are written to MongoDB in one bulk. Twice as many would save 3 %, and whoever comes meanwhile would wait
twice as long."""

GROUP_BYTES = 2 * 1024 * 1024
"""What the updates of one bulk may amount to; a single one may be larger. MongoDB would take 48 MB in one message, but
whoever comes meanwhile waits."""

GROUP_UNPLANNED_BYTES = 64 * 1024
"""The messages that are planned while a group is made; a single one may be larger. 64 KiB of the smallest values take
30 ms."""

SLICE_BYTES = 16 * 1024
"""The messages of a batch that are planned in one turn of the event loop."""

WAITING_UPDATES = 10_000
"""Updates that one server holds while they wait for MongoDB, at most half of them one application's. More are refused
at once."""

WAITING_BYTES = 128 * 1024 * 1024
"""What those may amount to, roughly."""

CALLS = 2000
"""Calls that one server serves at once, streams aside: one application alone half of them."""

CALL_BYTES = 256 * 1024 * 1024
"""What the messages of those may amount to, shared alike. A message that is being received is not yet counted."""

UNVERIFIED_CALLS = 1000
"""Calls and streams, all together, that wait for the look-up of a credential that was not known before."""

STREAMS = 200
"""Streams that one server serves at once: one application alone half of them."""

STREAM_IDLE_SECONDS = 300
"""For how long a stream may wait for its next message."""

BATCH_STREAMS = 1000
"""Streams of batches that one server has open. A gateway keeps some for each of its busy applications."""

LOOK_UPS = 200
LOOK_UPS_AT_ONCE = 4
"""Reads of single users: so many under way, and so many at once with MongoDB, where they must leave room to writes. One
application has at most all but one of the places. Look-ups of session tokens travel together instead."""

QUERIES = 32
QUERIES_AT_ONCE = 3
"""The same of lists, counts, reports, and batches of reads and exports, each of which may take MongoDB seconds."""

CHANGES = 100
CHANGES_AT_ONCE = 4
"""The same of erasures and removed aliases."""

STREAM_UPDATES = 4000
"""Updates of one stream that may wait for their acknowledgement before the server reads on."""

STREAM_BYTES = 4 * 1024 * 1024
"""What is submitted of one message of a stream at once; a single update may be larger."""

MESSAGE_BYTES = 32 * 1024 * 1024
"""A gRPC message, of a caller or of the server."""

REPORTED = 20
"""Violations or warnings told of one update."""

SUPPRESS_DAYS = 3650
"""For so many days at most, updates of a user who was erased may be suppressed."""

FILTER_BYTES = 4096
"""A filter, in UTF-8."""

FILTER_COMPARISONS = 50
"""Comparisons in one filter."""

FILTER_LEVELS = 20
"""`AND`, `OR` and `NOT` inside each other. MongoDB takes queries that are 100 levels deep, and each of these is two."""

PATHS_BYTES = 4096
"""A list of fields, in UTF-8."""

PATHS = 100
"""Fields in such a list."""

PAGE_USERS = 1000
"""The most users that one page of a list or a look-up holds: where the caller asks for more, it is this many."""

PAGE_USERS_BY_DEFAULT = 100
"""Where the caller does not say how many."""

PAGE_TOKEN_BYTES = 8192
"""A page token. The longest that is sealed has 6 KiB."""

ORDER_BY_BYTES = 64
"""An order of a list."""

ANSWER_BYTES = 8 * 1024 * 1024
"""What the profiles of one answer may amount to as a message, as JSON, and as BSON in the database. At least one is
answered, and none, however dense, has more than 14 MiB: 1 MiB of control characters takes 6 in JSON, and an export may
hold a visitor, too."""

ANSWER_WORK = 500_000
"""Steps of about half a microsecond in which the profiles of one answer are translated: a value in JSON is one, one in
a `Struct` two. Ordinary profiles do not reach it."""

SLICE_WORK = 8000
"""Such steps that are done at once, before it is another request's turn."""

GROUP_LOOKUP_BYTES = 4 * 1024 * 1024
GROUPED_LOOKUP_BYTES = 64 * 1024
"""What the users of a group of look-ups may amount to as BSON, and those of each look-up in it. Beyond, a look-up is
made alone."""

GROUPED_METADATA_BYTES = 16 * 1024
"""The largest metadata, as BSON, that a group of look-ups reads."""

REPORT_GROUPS = 1000
"""The most groups that one report answers."""

REPORT_GROUPS_BY_DEFAULT = 100
"""Where the caller does not say how many."""

REPORT_FIELDS = 4
"""The fields of a campaign that make a group."""

QUERY_SECONDS = 5
"""How long MongoDB may look for the users of a list, or count them."""

REPORT_SECONDS = 20
"""How long MongoDB may work on a report."""
