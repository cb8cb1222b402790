"""What expensive inputs of one application, or of nobody, cost another: `python -m tests.stalls`.

The real programs serve two applications. B sends small updates and reads at a steady pace, from a process of its own; a
second process sends one expensive input. The rows are in `writes.py`, `nobody.py`, `reads.py` and
`crowds.py`.
"""
