"""Messages and services of the programs of one Userfold among themselves: they may change with every version."""
