"""Applications, their credentials, and the scopes of credentials."""
