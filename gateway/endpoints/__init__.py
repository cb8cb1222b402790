"""Paths that the gateway answers itself: health, what client libraries request at start, calls that store nothing."""
