"""What is removed on request: users, session tokens, and suppressions after an erasure."""
