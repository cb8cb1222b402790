"""The algebra of merging, which knows no users."""
