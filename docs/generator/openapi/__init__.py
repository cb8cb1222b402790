"""Writes the HTTP API as OpenAPI 3.1, from the protos, their comments, the limits and the examples."""
