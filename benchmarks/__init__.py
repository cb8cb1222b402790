"""Userfold, measured side by side with what it stands on and with what a team would run instead: `make bench`.

`comparison/` holds the rounds of `make bench` and their report, `overload/` and `costs/` are commands of their own.
They send the load of `load/` in the verified runs of `runs`, to the programs that `stack` starts: Userfold, and what is
in `contenders/` and `parse/`. `environment/` describes the machine, the versions and the child processes.
"""
