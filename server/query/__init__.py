"""What callers write to choose users, fields and pages."""
