"""The gRPC edge: whose a call is, whether there is room for it, bytes to messages, errors to Status."""
