"""How much an expensive input of one application, or of an unknown client, delays another: `python -m tests.stalls`.

The programs serve two applications. B sends small updates and reads at a steady pace, from a process of its own. A
second process sends one expensive input. `rows/` holds the inputs.
"""
