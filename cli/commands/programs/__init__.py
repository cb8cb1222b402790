"""The commands that run programs."""
