"""Pod Security: what the levels ``baseline`` and ``restricted`` find wrong with a pod, in the server's words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from hotconfig.testing.kubernetes.trees import Json, items, part

LABEL: Final = "pod-security.kubernetes.io/enforce"

_BASELINE_CAPABILITIES: Final = frozenset(
    {
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE"),
        *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    }
)
_RESTRICTED_VOLUMES: Final = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
)
_SECCOMP: Final = frozenset({"RuntimeDefault", "Localhost"})


def violation(labels: Mapping[str, str], pod: Json) -> str:
    """Why the namespace with ``labels`` refuses ``pod``; empty when it does not."""
    level, version = labels.get(LABEL, "privileged"), labels.get(f"{LABEL}-version", "latest")
    if level not in {"baseline", "restricted"}:
        return ""
    found = list(_baseline(pod["spec"])) if level == "baseline" else _restricted(pod["spec"])
    return f'violates PodSecurity "{level}:{version}": {", ".join(found)}' if found else ""


def _restricted(spec: Json) -> list[str]:
    found = [text for text in _baseline(spec) if not text.startswith("non-default capabilities")]
    return [*found, *_restrictions(spec)]


def _containers(spec: Json) -> list[Json]:
    return [*items(spec, "initContainers"), *items(spec, "containers"), *items(spec, "ephemeralContainers")]


def _security(container: Json) -> Json:
    found: Json = part(container, "securityContext")
    return found


def _named(containers: Sequence[Json]) -> str:
    names = ", ".join(f'"{container["name"]}"' for container in containers)
    return f"container{'s' if len(containers) > 1 else ''} {names}"


def _baseline(spec: Json) -> Iterator[str]:
    shared = [key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    if shared:
        yield f"host namespaces ({', '.join(f'{key}=true' for key in shared)})"
    containers = _containers(spec)
    if bad := [each for each in containers if _security(each).get("privileged")]:
        yield f"privileged ({_named(bad)} must not set securityContext.privileged=true)"
    if bad := [each for each in containers if _added(each) - _BASELINE_CAPABILITIES]:
        listed = ", ".join(f'"{name}"' for each in bad for name in sorted(_added(each) - _BASELINE_CAPABILITIES))
        yield f"non-default capabilities ({_named(bad)} must not include {listed} in securityContext.capabilities.add)"
    if bad := [volume for volume in items(spec, "volumes") if "hostPath" in volume]:
        names = ", ".join(f'"{volume["name"]}"' for volume in bad)
        yield f"hostPath volumes (volume{'s' if len(bad) > 1 else ''} {names})"
    ports = [port["hostPort"] for each in containers for port in items(each, "ports") if port.get("hostPort")]
    if ports:
        bad = [each for each in containers if any(port.get("hostPort") for port in items(each, "ports"))]
        plural = "s" if len(ports) > 1 else ""
        yield f"hostPort ({_named(bad)} uses hostPort{plural} {', '.join(map(str, sorted(ports)))})"


def _added(container: Json) -> set[str]:
    return set(items(_security(container), "capabilities", "add"))


def _restrictions(spec: Json) -> Iterator[str]:
    containers, of_pod = _containers(spec), part(spec, "securityContext")
    if bad := [each for each in containers if _security(each).get("allowPrivilegeEscalation") is not False]:
        yield (
            f"allowPrivilegeEscalation != false ({_named(bad)} must set securityContext.allowPrivilegeEscalation=false)"
        )
    yield from _capabilities(containers)
    odd = [each for each in items(spec, "volumes") if not set(each) & _RESTRICTED_VOLUMES]
    if odd:
        names = ", ".join(f'"{volume["name"]}"' for volume in odd)
        yield f"restricted volume types (volume{'s' if len(odd) > 1 else ''} {names} uses restricted volume type)"
    if bad := [
        each for each in containers if _security(each).get("runAsNonRoot", of_pod.get("runAsNonRoot")) is not True
    ]:
        yield f"runAsNonRoot != true (pod or {_named(bad)} must set securityContext.runAsNonRoot=true)"
    if of_pod.get("runAsUser") == 0:
        yield "runAsUser=0 (pod must not set runAsUser=0)"
    elif bad := [each for each in containers if _security(each).get("runAsUser") == 0]:
        yield f"runAsUser=0 ({_named(bad)} must not set runAsUser=0)"
    if bad := [each for each in containers if _seccomp(each, of_pod) not in _SECCOMP]:
        yield (
            f"seccompProfile (pod or {_named(bad)} must set securityContext.seccompProfile.type to "
            '"RuntimeDefault" or "Localhost")'
        )


def _capabilities(containers: Sequence[Json]) -> Iterator[str]:
    keeping = [each for each in containers if "ALL" not in items(_security(each), "capabilities", "drop")]
    adding = [each for each in containers if _added(each) - {"NET_BIND_SERVICE"}]
    parts = [f'{_named(keeping)} must set securityContext.capabilities.drop=["ALL"]'] if keeping else []
    if adding:
        listed = ", ".join(f'"{name}"' for each in adding for name in sorted(_added(each) - {"NET_BIND_SERVICE"}))
        parts.append(f"{_named(adding)} must not include {listed} in securityContext.capabilities.add")
    if parts:
        yield f"unrestricted capabilities ({'; '.join(parts)})"


def _seccomp(container: Json, of_pod: Json) -> str:
    profile = part(_security(container), "seccompProfile") or part(of_pod, "seccompProfile")
    return str(profile.get("type", ""))
