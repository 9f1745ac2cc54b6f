"""Other libraries that keep configuration or flags, each used as its manual shows it, in a process of its own.

They may live in an environment of their own, because some of them pin what others need newer: the suite runs
``PYTHON -m benchmarks.peers NAME``, where PYTHON is ``HOTCONFIG_BENCH_PEERS_PYTHON``, or else its own interpreter.
"""
