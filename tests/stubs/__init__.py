"""The stubs of other languages: generated and compiled, as the README of protos/ says."""
