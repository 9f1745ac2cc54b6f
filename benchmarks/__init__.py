"""The benchmark suite: every figure is measured beside its floor, in one run. ``python -m benchmarks --help``."""
