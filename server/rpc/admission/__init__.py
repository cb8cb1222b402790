"""What a call must pass before its request is parsed: rate, share of the capacity, gates."""
