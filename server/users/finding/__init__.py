"""How users are found by what a caller knows of them, and their companies."""
