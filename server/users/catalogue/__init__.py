"""The catalogue of metadata: which paths the users of an application have, and what their values look like."""
