"""What the service does with users, pure: from a request to the description of a write or a query."""
