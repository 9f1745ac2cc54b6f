"""Clients on the shared servers, as the integration tests have them."""

from tests.integration.conftest import client, start_client, writer

__all__ = ["client", "start_client", "writer"]
