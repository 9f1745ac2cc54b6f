"""Fixtures for pytest: ``kubernetes_double``. For now ``pytest_plugins = ["hotconfig.testing.kubernetes.plugin"]``."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from hotconfig.testing.kubernetes.double import KubernetesDouble


@pytest.fixture
def kubernetes_double() -> Generator[KubernetesDouble]:
    """A kube-apiserver with a controller manager, empty, for one test."""
    with KubernetesDouble() as double:
        yield double
