"""The documentation: pages in CommonMark, and what writes and builds the others."""
