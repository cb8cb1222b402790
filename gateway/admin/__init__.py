"""The admin listener, for operators: pages, the documentation of the HTTP API, metrics, and the HTTP API itself."""
