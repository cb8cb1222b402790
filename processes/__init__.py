"""Processes that are started, watched and stopped: what both programs need to be run by, whatever they do."""
