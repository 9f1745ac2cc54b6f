"""The API server over HTTPS: the adapter behind :class:`hotconfig.provisioner.kubernetes.port.KubernetesPort`.

Owns the wire: paths, headers, time limits, connections. lightkube reads the kubeconfig or the service account, and
makes the HTTP client with its certificates and tokens, which it reads anew when they were rotated. The calls
are ours, since lightkube's delete knows no preconditions, and its typed objects would lose fields that they do not
know. HTTP/2 stays off: against kube-apiserver 1.36 it failed in 4 of 5 runs.
"""

from __future__ import annotations

import json
import logging
import os
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Final, cast

import anyio
import httpx2
from lightkube.config.client_adapter import ConnectionParams
from lightkube.config.kubeconfig import KubeConfig
from lightkube.config.models import Cluster
from lightkube.core.exceptions import ConfigError
from yaml import YAMLError

from hotconfig.core.errors import HotConfigError
from hotconfig.provisioner.errors import KubernetesTrustError, KubernetesUnavailableError
from hotconfig.provisioner.kubernetes.port import Impersonation, Manifest
from hotconfig.provisioner.kubernetes.words import Asked, Said, error_of
from hotconfig.provisioner.template import API_VERSIONS, CLAIM_MANAGER, MANAGER

CALL_TIMEOUT_S: Final = 8.0
CONNECT_TIMEOUT_S: Final = 3.0
CONNECTIONS_AHEAD: Final = 8
"""As many as one organization's fences need side by side."""
MAX_CONNECTIONS: Final = 64
KEEP_IDLE_S: Final = 90.0
PAGE: Final = 1000
"""So that six kinds of 1,000 tenants, of which one has two objects, take seven requests."""

logger: Final = logging.getLogger("hotconfig.provisioner")

_PLURALS: Final[Mapping[str, str]] = {
    "Namespace": "namespaces",
    "ResourceQuota": "resourcequotas",
    "LimitRange": "limitranges",
    "ServiceAccount": "serviceaccounts",
    "NetworkPolicy": "networkpolicies",
    "RoleBinding": "rolebindings",
    "Pod": "pods",
    "Secret": "secrets",
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}
_VERSIONS: Final[Mapping[str, str]] = {
    **API_VERSIONS,
    "ValidatingAdmissionPolicy": "admissionregistration.k8s.io/v1",
    "ValidatingAdmissionPolicyBinding": "admissionregistration.k8s.io/v1",
}
_SENT: Final = "http11.send_request_body.complete"
"""As httpcore's extension ``trace`` calls it. It may not come: whoever waits for it also waits for the end."""
_APPLY: Final = "application/apply-patch+yaml"
_JSON: Final = "application/json"
_REVIEWS: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class KubernetesClient:
    """One identity at one API server; see the port for what every method promises.

    Every call ends within ``call_timeout_s`` seconds. Any task of one event loop may call, on asyncio and trio.
    """

    tells_sent: bool = True

    def __init__(
        self,
        kubeconfig: str | PathLike[str] | None = None,
        *,
        context: str | None = None,
        call_timeout_s: float = CALL_TIMEOUT_S,
    ) -> None:
        """Read the kubeconfig, or the service account in a directory; None: that of the pod. Nothing is sent yet.

        Raises:
            KubernetesTrustError: it cannot be found or read, or names a context or certificate that is not there.
        """
        self._call_timeout_s = call_timeout_s
        self._http, is_verified = _connect(kubeconfig, context, call_timeout_s)
        self.is_verified: bool = is_verified
        """Whether the server has to prove by a certificate that it is the one."""

    def __repr__(self) -> str:
        return f"KubernetesClient({self._http.base_url.host!r})"

    async def open(self) -> None:
        """Connect ahead; that the server is away is told by the first call that matters."""
        async with anyio.create_task_group() as tasks:
            for _ in range(CONNECTIONS_AHEAD):
                tasks.start_soon(self._greet)

    async def create(
        self, manifest: Manifest, *, dry_run: bool = False, impersonate: Impersonation | None = None
    ) -> Manifest:
        """POST; see the port."""
        asked = _asked("create", manifest, impersonates=impersonate is not None)
        params = {"fieldManager": CLAIM_MANAGER, **_dry(dry_run=dry_run)}
        path = _path(manifest["kind"], asked.namespace)
        return await self._call(asked, "POST", path, params=params, body=manifest, headers=_headers(impersonate))

    async def apply(
        self, manifest: Manifest, *, dry_run: bool = False, on_sent: Callable[[], None] | None = None
    ) -> Manifest:
        """Server-side apply; see the port."""
        asked = _asked("patch", manifest, applies=True)
        params = {"fieldManager": MANAGER, "force": "true", **_dry(dry_run=dry_run)}
        path = _path(manifest["kind"], asked.namespace, asked.name)
        typed = {"Content-Type": _APPLY}
        return await self._call(asked, "PATCH", path, params=params, body=manifest, headers=typed, on_sent=on_sent)

    async def get(
        self, kind: str, name: str, *, namespace: str | None, impersonate: Impersonation | None = None
    ) -> Manifest:
        """GET one object; see the port."""
        asked = Asked("get", _PLURALS[kind], name, namespace, impersonates=impersonate is not None)
        return await self._call(asked, "GET", _path(kind, namespace, name), headers=_headers(impersonate))

    async def list(
        self,
        kind: str,
        *,
        namespace: str | None = None,
        selector: str | None = None,
        impersonate: Impersonation | None = None,
    ) -> tuple[Manifest, ...]:
        """LIST, page by page of one snapshot; see the port."""
        asked = Asked("list", _PLURALS[kind], namespace=namespace, impersonates=impersonate is not None)
        params: dict[str, str] = {"limit": str(PAGE)} | ({} if selector is None else {"labelSelector": selector})
        named = {"apiVersion": API_VERSIONS.get(kind, "v1"), "kind": kind}
        found: list[Manifest] = []
        while True:
            path = _path(kind, namespace)
            page = await self._call(asked, "GET", path, params=params, headers=_headers(impersonate))
            found += [{**named, **item} for item in page.get("items") or ()]
            if not (token := page.get("metadata", {}).get("continue")):
                return tuple(found)
            params["continue"] = token

    async def replace_status(self, manifest: Manifest) -> Manifest:
        """PUT on the status; see the port."""
        asked = _asked("update", manifest, subresource="/status")
        path = f"{_path(manifest['kind'], asked.namespace, asked.name)}/status"
        return await self._call(asked, "PUT", path, params={"fieldManager": MANAGER}, body=manifest)

    async def delete(self, kind: str, name: str, *, namespace: str | None, uid: str) -> None:
        """DELETE, fenced with the UID; see the port."""
        asked = Asked("delete", _PLURALS[kind], name, namespace)
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
        await self._call(asked, "DELETE", _path(kind, namespace, name), body=body)

    async def can_i(
        self, verb: str, resource: str, *, group: str = "", namespace: str | None = None, name: str = ""
    ) -> bool:
        """Whether this identity may; see the port."""
        plural, _, subresource = resource.partition("/")
        about = {"verb": verb, "group": group, "resource": plural, "subresource": subresource, "name": name}
        spec = {"resourceAttributes": {**about, "namespace": namespace or ""}}
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec}
        answer = await self._call(Asked("create", "selfsubjectaccessreviews"), "POST", _REVIEWS, body=body)
        return bool(answer.get("status", {}).get("allowed"))

    async def version(self) -> dict[str, Any]:
        """What server it is: ``gitVersion``, ``major``, ``minor``. Errors as for every call."""
        return await self._call(Asked("get", "version"), "GET", "/version")

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _greet(self) -> None:
        try:
            with anyio.move_on_after(CONNECT_TIMEOUT_S):
                async with self._translated(Asked("get", "version")):
                    await self._http.get("/version")
        except HotConfigError as error:
            logger.info("no connection ahead: %s", error)

    @asynccontextmanager
    async def _translated(self, asked: Asked) -> AsyncGenerator[None]:
        """No answer, in our errors, once, here."""
        try:
            yield
        except (httpx2.HTTPError, TimeoutError, anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise _silence(asked, self._http.base_url.netloc.decode(), error) from error
        except ConfigError as error:
            raise KubernetesTrustError(f"the credentials for Kubernetes cannot be used: {error}") from error

    async def _call(
        self,
        asked: Asked,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Manifest | None = None,
        headers: Any = None,
        on_sent: Callable[[], None] | None = None,
    ) -> dict[str, Any]:
        content = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        typed = httpx2.Headers({"Content-Type": _JSON, "Accept": _JSON} if content else {"Accept": _JSON})
        sent = httpx2.Headers([*typed.multi_items(), *httpx2.Headers(headers).multi_items()])
        if headers and "Content-Type" in headers:
            sent["Content-Type"] = headers["Content-Type"]
        async with self._translated(asked):
            with anyio.fail_after(self._call_timeout_s):
                response = await self._http.request(
                    method, path, params=params, content=content, headers=sent, extensions=_traced(on_sent)
                )
        if response.is_success:
            return _decoded(response, asked)
        raise error_of(asked, Said(response.status_code, _body(response), response.headers.get("Retry-After")))


def _connect(
    kubeconfig: str | PathLike[str] | None, context: str | None, timeout_s: float
) -> tuple[httpx2.AsyncClient, bool]:
    """The client, and whether the server has to prove itself by a certificate."""
    try:
        config = _read(kubeconfig).get(context)
        assert config is not None  # noqa: S101 - get() raises without a default
        timeout = httpx2.Timeout(timeout_s, connect=min(CONNECT_TIMEOUT_S, timeout_s))
        limits = httpx2.Limits(
            max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS, keepalive_expiry=KEEP_IDLE_S
        )
        params = cast("dict[str, Any]", ConnectionParams(timeout=timeout, http2=False).httpx_params(config))  # pyright: ignore[reportUnknownMemberType]
        return httpx2.AsyncClient(**params, limits=limits), _is_verified(config.cluster)
    except (ConfigError, YAMLError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        # Without the parser's words: they may quote a token.
        said = f": {error}" if isinstance(error, ConfigError) else f" ({type(error).__name__})"
        raise KubernetesTrustError(_cannot_be_used(kubeconfig, said)) from error


def _is_verified(cluster: Cluster) -> bool:
    return cluster.server.lower().startswith("https:") and not cluster.insecure


def _cannot_be_used(kubeconfig: str | PathLike[str] | None, said: str) -> str:
    if kubeconfig is None:
        advice = "Outside of a pod, name a kubeconfig: KUBECONFIG or --kubeconfig on the command line."
        return f"the service account of this pod cannot be used{said}. {advice}"
    path = fspath(kubeconfig)
    advice = (
        "Name one file: lists are not read." if os.pathsep in path else "Check the path, its context and its files."
    )
    return f"the kubeconfig {path!r} cannot be used{said}. {advice}"


def _read(kubeconfig: str | PathLike[str] | None) -> KubeConfig:
    if kubeconfig is None:
        return KubeConfig.from_service_account()
    path = fspath(kubeconfig)
    return KubeConfig.from_service_account(path) if Path(path).is_dir() else KubeConfig.from_file(path)


def _silence(asked: Asked, server: str, error: Exception) -> HotConfigError:
    if (untrusted := _untrusted(error)) is not None:
        return KubernetesTrustError(
            f"the certificate of the Kubernetes API server is not trusted ({untrusted.verify_message}): "
            "put its authority into the kubeconfig (certificate-authority-data)"
        )
    return KubernetesUnavailableError(f"Kubernetes at {server} did not answer ({asked}): {_reason(error)}")


def _reason(error: BaseException) -> str:
    """What the operating system said, where it said something."""
    found: BaseException | None = error
    while found is not None and not (isinstance(found, OSError) and found.errno):
        found = found.__cause__ or found.__context__
    if not isinstance(found, OSError) or not found.errno:
        return type(error).__name__
    # What a resolver says has a number below 0 and words of its own; asyncio's words for the rest repeat the address.
    return str(found.strerror) if found.errno < 0 else os.strerror(found.errno)


def _untrusted(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    for _ in range(8):
        if error is None or isinstance(error, ssl.SSLCertVerificationError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _decoded(response: httpx2.Response, asked: Asked) -> dict[str, Any]:
    body = _body(response)
    if not body:
        raise KubernetesUnavailableError(f"Kubernetes answered {asked} with something that is no object")
    return body


def _body(response: httpx2.Response) -> dict[str, Any]:
    try:
        found = json.loads(response.content)
    except ValueError:
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _asked(
    verb: str, manifest: Manifest, *, subresource: str = "", applies: bool = False, impersonates: bool = False
) -> Asked:
    metadata, resource = manifest["metadata"], f"{_PLURALS[manifest['kind']]}{subresource}"
    return Asked(
        verb, resource, metadata["name"], metadata.get("namespace"), applies=applies, impersonates=impersonates
    )


def _path(kind: str, namespace: str | None, name: str = "") -> str:
    version = _VERSIONS.get(kind, "v1")
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    inside = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}{inside}/{_PLURALS[kind]}{f'/{name}' if name else ''}"


def _traced(on_sent: Callable[[], None] | None) -> dict[str, Any] | None:
    """What makes httpx tell that a request has left."""
    if on_sent is None:
        return None

    async def trace(event: str, _info: Mapping[str, Any]) -> None:
        if event == _SENT:
            on_sent()

    return {"trace": trace}


def _dry(*, dry_run: bool) -> dict[str, str]:
    return {"dryRun": "All"} if dry_run else {}


def _headers(impersonate: Impersonation | None) -> list[tuple[str, str]]:
    if impersonate is None:
        return []
    return [("Impersonate-User", impersonate.user), *(("Impersonate-Group", each) for each in impersonate.groups)]
