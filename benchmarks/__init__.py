"""Userfold, measured side by side with what it stands on and with what a team would run instead: `make bench`.

`__main__` runs the rounds that `rounds` and `million` define; `runs` is one load run with its verification; `stack`
starts everything; `contenders` and `users` say what is sent and read back, `report` and `plot` what is shown. The other
contenders are `plain_app`, `eve_app`, `parse/`, `driver_load` and `echo_server`.
"""
