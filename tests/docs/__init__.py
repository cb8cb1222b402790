"""The README and the documentation: their examples are run as they stand, and their tables are those of the code."""
