"""Coverage-guided fuzzing: `targets.py` has the targets, `make fuzz` runs them, `corpus/` has interesting inputs."""
