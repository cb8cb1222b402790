"""What the benchmarks run on: paths, the machine, versions and child processes."""
