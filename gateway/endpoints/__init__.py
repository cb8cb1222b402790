"""Paths that the gateway answers itself: health, what client libraries ask for at start, calls that store nothing."""
