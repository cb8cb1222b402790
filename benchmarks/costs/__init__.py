"""Where the CPU time of an update is spent: `make costs`."""
