"""Kubernetes, behind one protocol."""
