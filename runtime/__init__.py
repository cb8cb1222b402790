"""What both programs run on: processes that are started, watched and stopped, logs, and fair shares of work."""
