"""Redis, the news channel: publishing commits and hearing about them.

Nothing here knows PostgreSQL, threads or settings classes. Redis proves nothing; see :mod:`hotconfig.core.wire`.
"""
