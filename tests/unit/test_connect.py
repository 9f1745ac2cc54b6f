"""Inherited connections in a forked child."""

from __future__ import annotations

from typing import cast

import psycopg

from hotconfig.postgres.connect import Session, close_copy


class Lost:
    """A connection whose process was forked at the moment at which it noticed that the server was gone."""

    def fileno(self) -> int:
        raise psycopg.OperationalError("the connection is lost")


def test_a_child_that_is_forked_while_a_connection_is_being_lost_comes_to_life() -> None:
    close_copy(cast("Session", Lost()))
