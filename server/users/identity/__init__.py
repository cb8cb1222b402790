"""What a profile gets of another one that becomes a part of it."""
