"""Coverage-guided fuzzing: `targets.py` says what is fuzzed, `python -m tests.fuzz` runs it, `corpus/` is what it found."""
