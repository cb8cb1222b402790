"""Writes of profiles: from their descriptions to MongoDB's statements, and what its answers mean."""
