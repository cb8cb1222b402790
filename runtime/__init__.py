"""What both programs use to run: child processes, logs, certificates, batching, and fair shares among applications."""
