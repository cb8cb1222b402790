"""What Userfold does under three times the load it can serve: `make overload`."""
