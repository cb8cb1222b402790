"""The metadata of one update: usual metadata as dot-paths in one pass, any other as a tree, with its operations."""
