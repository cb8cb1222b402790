"""The algebra of merging values, which knows no users."""
