"""The vocabulary of tenants that the database and the provisioner share: records, states, refusals.

It stands in the core because the adapter in ``postgres`` must not look up at the provisioner. Pure.
"""
