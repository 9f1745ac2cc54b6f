"""Faults and storms on real servers, each with the outcome that is promised for it."""
