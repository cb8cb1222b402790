"""The users that are sent, and the load generators for HTTP and gRPC."""
