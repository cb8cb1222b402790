"""What real products send: users, what is refused or warned of, and users who mean harm. All runs have the same."""
