"""Hypothesis strategies for updates, with keys and shapes that once caused a defect."""

from typing import Any

from hypothesis import strategies as st

_ODD_KEYS = ["a", "b", "c", "a.b", "$set", "$unset", "", "0", "1", "_id", "__proto__", "%2E", "%", "a\0b", "k" * 1000]
_ODD_KEYS += ["é", "日本", "😀", "metadata", "aliases", "constructor", "$literal", "$$REMOVE", ".", "..", "length"]

# Few keys, so that updates often share one.
KEYS = st.sampled_from(_ODD_KEYS)

_TEXTS = st.sampled_from(["", "x", "$name", "$$ROOT", "$metadata.a", "\0", "é😀", "2026-01-02T03:04:05Z", "a" * 300])
_NUMBERS = st.sampled_from([0, 1, -1, 24000, 2**53 - 1, -(2**53 - 1), 0.1, -2.5, 1e300, 5e-324, 1e21, 2**53 + 1])
SCALARS: st.SearchStrategy[Any] = st.booleans() | _NUMBERS | _TEXTS

_ARRAYS: st.SearchStrategy[Any] = st.lists(
    SCALARS | st.none() | st.dictionaries(KEYS, SCALARS | st.none(), max_size=2) | st.just([]), max_size=3
)
_VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS | st.none() | _ARRAYS, lambda values: st.dictionaries(KEYS, values, max_size=3), max_leaves=8
)
METADATA: st.SearchStrategy[dict[str, Any]] = st.dictionaries(KEYS, _VALUES, max_size=4)

_RESERVED: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "email": st.sampled_from(["john@acmeinc.com", "j@x", None, "mary@gmail.com"]),
        "phone": st.sampled_from([4155551212, "+1 415", None, True, 1.5]),
        "name": st.sampled_from(["John", None]),
    },
)

# Strings of the envelope are returned unchanged, so tests compare for equality.
_CAMPAIGN = st.dictionaries(
    st.sampled_from(["utm_source", "utm_medium", "referrer", "gclid"]), st.sampled_from(["s", "é", "$x", "", None])
)
CLEARABLE = ["company_id", "ip_address", "observed_ip_address", "user_agent_string", "anonymous_id"]
CLEARABLE += ["campaign", "initial_campaign", "latest_campaign"] * 2
UPDATES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "company_id": st.sampled_from(["c1", "c2", None]),
        "modified_time": st.sampled_from(
            ["1970-01-01T00:00:00Z", "2026-01-02T03:04:05.678901234Z", "0001-01-01T00:00:00Z", None]
        ),
        "ip_address": st.sampled_from(["1.2.3.4", "2001:db8::1", None]),
        "session_token": st.sampled_from(["t1", "t2", "t3", "", None]),
        "user_agent_string": st.sampled_from(["UA", "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko Firefox/121.0"]),
        "anonymous_id": st.sampled_from(["anon", None]),
        "campaign": _CAMPAIGN | st.none() | st.just([]),
        "clear_fields": st.lists(st.sampled_from(CLEARABLE), max_size=3) | st.none(),
        "metadata": st.builds(lambda one, other: one | other, METADATA, _RESERVED) | st.none() | st.just([]),
    },
)
