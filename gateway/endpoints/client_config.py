"""The configuration that client libraries request when they start. It is the same for every application."""

from typing import Final

from gateway.errors.answer import Answer

CONSTANTS: Final = {
    "/v1/config": Answer(
        200,
        {
            # Events are not stored: 0 stops most of them at their source.
            "sample_rate": 0,
            "user_sample_rate": {},
            "company_sample_rate": {},
            "user_rules": {},
            "company_rules": {},
            "regex_config": [],
        },
    ),
    "/v1/rules": Answer(200, []),
}
"""The answers, by their paths."""
