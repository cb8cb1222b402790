"""Processes that are started, watched and stopped, and log: what both programs need, whatever they do."""
