"""What the methods mean, pure: from a request to the description of a write or a query."""
