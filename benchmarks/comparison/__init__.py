"""The rounds of `make bench`: what runs in each, the report, and the plot."""
