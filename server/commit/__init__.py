"""What travels to MongoDB together: writes in groups, and look-ups."""
