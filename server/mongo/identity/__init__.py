"""Visitors who become users, and users who become one: pointers, and what is absorbed."""
