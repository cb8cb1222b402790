"""The public contract, in the protos and elsewhere, compared with the committed one."""
