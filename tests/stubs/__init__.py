"""The stubs of other languages, generated and compiled by the commands of protos/README.md."""
