"""The commands: a module for each group, with a Typer named `app`. `cli/main.py` names them all."""
