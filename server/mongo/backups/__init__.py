"""All that is stored, in one file and back."""
