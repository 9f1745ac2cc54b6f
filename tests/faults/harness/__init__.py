"""The harness: draws a schedule from a seed, carries it out, has the oracle judge. Modules bear the names of steps."""
