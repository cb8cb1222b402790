"""Dry runs: what updates would do. Nothing is written."""
