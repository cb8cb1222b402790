"""What operators see of calls: refusals, lines in the log, and spans."""
