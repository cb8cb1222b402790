"""`userfold`, the command line."""
