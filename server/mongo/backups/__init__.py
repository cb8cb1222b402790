"""Backups: the database in one file, and how it is restored."""
