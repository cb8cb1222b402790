"""The HTTP face of Userfold: JSON requests in, gRPC calls out, with the routes read from the protos."""
