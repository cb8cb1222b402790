"""ExportUser and BatchExportUsers: which profile is exported.

The export adds the profile of the visitor whom it names (`ProfileQueries.export`).
"""

from server.users.ids import requested_profile_id


def plan_export(application_id: str, field: str, user_id: str) -> str:
    """The `_id` of the profile of the user whose id is in `field`. Raises InvalidRequest, which names the field."""
    return requested_profile_id(application_id, field, user_id)
