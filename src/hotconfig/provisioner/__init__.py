"""Tenants across PostgreSQL and Kubernetes. Imports only the core and the adapter of PostgreSQL.

Names are loaded when first used: importing this loads no driver.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hotconfig.provisioner.following import Asking as Asking
    from hotconfig.provisioner.following import Result as Result
    from hotconfig.provisioner.kubernetes.client import KubernetesClient as KubernetesClient
    from hotconfig.provisioner.model import Adoption as Adoption
    from hotconfig.provisioner.model import Condition as Condition
    from hotconfig.provisioner.model import CreateOrganization as CreateOrganization
    from hotconfig.provisioner.model import IsolationReceipt as IsolationReceipt
    from hotconfig.provisioner.model import Operation as Operation
    from hotconfig.provisioner.model import OperationKind as OperationKind
    from hotconfig.provisioner.model import Organization as Organization
    from hotconfig.provisioner.model import Past as Past
    from hotconfig.provisioner.model import Planned as Planned
    from hotconfig.provisioner.model import Quantity as Quantity
    from hotconfig.provisioner.model import Quota as Quota
    from hotconfig.provisioner.model import State as State
    from hotconfig.provisioner.provisioner import Bounds as Bounds
    from hotconfig.provisioner.provisioner import Provisioner as Provisioner
    from hotconfig.provisioner.reconciler import Reconciled as Reconciled
    from hotconfig.provisioner.sync import SyncProvisioner as SyncProvisioner
    from hotconfig.provisioner.template import TenantTemplate as TenantTemplate

_HOME = {
    "KubernetesClient": "kubernetes.client",
    "Adoption": "model",
    "Asking": "following",
    "Condition": "model",
    "CreateOrganization": "model",
    "IsolationReceipt": "model",
    "Operation": "model",
    "OperationKind": "model",
    "Organization": "model",
    "Past": "model",
    "Planned": "model",
    "Quantity": "model",
    "Quota": "model",
    "State": "model",
    "Bounds": "provisioner",
    "Provisioner": "provisioner",
    "Result": "following",
    "Reconciled": "reconciler",
    "SyncProvisioner": "sync",
    "TenantTemplate": "template",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
