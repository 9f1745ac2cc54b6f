"""The ways in which a change reaches a running service, each written as its own manual shows it."""
