"""HTTP/1.1 alone: connections, requests and responses, within limits. It imports nothing else of the gateway."""
