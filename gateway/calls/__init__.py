"""One request, end to end: body, decode, RPC, encode."""
