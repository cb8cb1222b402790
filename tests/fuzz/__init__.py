"""Coverage-guided fuzzing: `targets.py` says what is fuzzed, `make fuzz` runs it, `corpus/` is what it found."""
