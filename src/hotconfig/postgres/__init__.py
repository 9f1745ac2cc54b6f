"""PostgreSQL, the source of truth: connections, migrations, reading and writing.

Nothing here knows Redis, threads or settings classes.
"""
