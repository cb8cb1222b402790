"""The connections to the server, and what travels on them."""
