"""How a user, and an application, are removed: erasures, suppressions after them, and deletions."""
