"""Mutated and made-up input for everything that reads what strangers send: ``python -m tests.fuzz --inputs 1000000``.

No coverage guidance: inputs are mutations of genuine ones, so that they get past the first check, and a seed repeats
a run. What the input may do to a target is that target's law; anything else raises, and the seed and number of the
input are printed.
"""
