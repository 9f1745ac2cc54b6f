"""A kube-apiserver for tests: HTTPS, in this process, answering as kube-apiserver 1.36 was recorded to answer.

    with KubernetesDouble() as double:
        kubeconfig = double.kubeconfig(tmp_path, user="provisioner")
        double.faults.refuse(429, retry_after_s=1, method="POST", path="/namespaces$")

Needs trustme for its certificate. What it does and does not do: docs/kubernetes-double.md.
"""

from hotconfig.testing.kubernetes.controllers import Pace
from hotconfig.testing.kubernetes.double import PROVISIONER_RULES, PURGER_RULES, USERS, KubernetesDouble
from hotconfig.testing.kubernetes.faults import Call, CallLog, Fault, Faults
from hotconfig.testing.kubernetes.rbac import Rule, User
from hotconfig.testing.kubernetes.requests import Response

__all__ = [
    "PROVISIONER_RULES",
    "PURGER_RULES",
    "USERS",
    "Call",
    "CallLog",
    "Fault",
    "Faults",
    "KubernetesDouble",
    "Pace",
    "Response",
    "Rule",
    "User",
]
