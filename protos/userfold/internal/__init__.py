"""For the programs of one Userfold among themselves."""
