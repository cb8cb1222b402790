"""The public contract: what it consists of beside the protos, compared with what is committed."""
