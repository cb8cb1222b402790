"""Userfold's API: the generated messages and gRPC stubs are in `userfold.v1`."""
