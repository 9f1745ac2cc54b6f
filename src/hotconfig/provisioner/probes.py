"""The isolation probes: what a tenant must not be able to do, tried as the tenant, without effect.

Owns the attempts and how an answer is judged. A dry run does everything but keep the object: admission, Pod Security
and quota all speak.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Final

from hotconfig.provisioner.errors import KubernetesDeniedError, KubernetesRefusedError
from hotconfig.provisioner.kubernetes.port import Impersonation, KubernetesPort, Manifest
from hotconfig.provisioner.kubernetes.words import IMPERSONATE
from hotconfig.provisioner.model import IsolationReceipt, Probe
from hotconfig.provisioner.quantities import MAX_CPU_CORES
from hotconfig.provisioner.together import side_by_side

PROBED_AS: Final = "hotconfig:isolation-probe"
"""The user that is impersonated, in the group of the tenant."""
ELSEWHERE: Final = "kube-system"
MAX_SAID: Final = 300

_RESTRICTED: Final[Manifest] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


async def probe_isolation(kube: KubernetesPort, namespace: str, *, namespace_uid: str, group: str) -> IsolationReceipt:
    """Try, side by side, what a member of ``group`` must be denied.

    Raises:
        HotConfigError: Kubernetes did not answer; nothing is known then.
    """
    tenant = Impersonation(PROBED_AS, (group, "system:authenticated"))
    privileged = _pod(namespace, {"privileged": True}, "1m")
    excessive = _pod(namespace, _RESTRICTED, str(MAX_CPU_CORES + 1))  # more than any quota allows
    create = partial(kube.create, dry_run=True, impersonate=tenant)
    probes = await side_by_side(
        [
            partial(_judge, "privileged pod", partial(create, privileged)),
            partial(_judge, "pod over the quota", partial(create, excessive)),
            partial(
                _judge,
                "secrets of another namespace",
                partial(kube.list, "Secret", namespace=ELSEWHERE, impersonate=tenant),
            ),
        ]
    )
    return IsolationReceipt(datetime.now(UTC), namespace_uid, tuple(probes))


async def _judge(name: str, attempt: Callable[[], Awaitable[object]]) -> Probe:
    try:
        await attempt()
    except (KubernetesDeniedError, KubernetesRefusedError) as error:
        made = not (isinstance(error, KubernetesDeniedError) and error.verb == IMPERSONATE)
        return Probe(name, "denied" if made else "not_made", str(error)[:MAX_SAID])
    return Probe(name, "allowed", "nothing denied it")


def _pod(namespace: str, security: Manifest, cpu: str) -> Manifest:
    sizes = {"cpu": cpu, "memory": "1Mi"}
    container = {
        "name": "probe",
        "image": "registry.k8s.io/pause:3.10",
        "securityContext": security,
        "resources": {"requests": sizes, "limits": sizes},
    }
    metadata = {"name": "hotconfig-isolation-probe", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}
