"""Calls to the server: connections, verified credentials, batches of many clients' updates."""
