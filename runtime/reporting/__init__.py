"""What operators see of requests: their origin, their lines in the log, their traces, and the events of the log."""
