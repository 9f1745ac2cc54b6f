"""Announcing commits: the signed change set and the plain form, in one pipeline."""

from __future__ import annotations

import redis

from hotconfig.core.chain import ChangeSet
from hotconfig.core.wire import Keyring, messages
from hotconfig.redis.connect import open_client, translate


class RedisAnnouncer:
    """Publishes, from any thread. See :class:`hotconfig.core.ports.Announcer` for what it promises."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = open_client(url, client_name="hotconfig-writer")

    def announce(self, change_set: ChangeSet, keyring: Keyring) -> None:
        """Publish both forms in one round trip."""
        pipeline = self._client.pipeline(transaction=False)
        for channel, data in messages(change_set, keyring):
            pipeline.publish(channel, data)
        try:
            pipeline.execute()
        except (redis.RedisError, OSError) as error:
            raise translate(error, self._url, "publish") from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
