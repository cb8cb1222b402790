"""What the path of a request leads to, read from the annotations of the methods."""
