"""Where profiles and applications are kept: the only code that knows MongoDB's drivers."""
