"""Updates of profiles: from messages or JSON to plain values, stored, and their outcomes as responses."""
