"""Writes the reference pages from the protos, their comments and the contract. `make docs` runs it."""
