"""Tenants across PostgreSQL and Kubernetes. Imports only the core and the adapter of PostgreSQL."""
