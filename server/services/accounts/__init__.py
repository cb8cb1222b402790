"""Applications and credentials over RPC."""
