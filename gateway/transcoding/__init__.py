"""JSON to messages and back."""
