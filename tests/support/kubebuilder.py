"""A real kube-apiserver with etcd and a controller manager, from the directory KUBEBUILDER_ASSETS."""

from __future__ import annotations

import csv
import os
import secrets
import ssl
import subprocess
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import Request, urlopen

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.ports import free_port
from tests.support.waiting import eventually

PROGRAMS: Final = ("etcd", "kube-apiserver", "kube-controller-manager")
NO_ASSETS: Final = (
    f"KUBEBUILDER_ASSETS has not all of {', '.join(PROGRAMS)}: the recording needs the controller manager"
)


def has_assets() -> bool:
    directory = os.environ.get("KUBEBUILDER_ASSETS")
    return bool(directory) and all((Path(directory or "") / program).exists() for program in PROGRAMS)


@contextmanager
def api_server_of_assets(directory: Path) -> Generator[tuple[str, bytes, str]]:
    """URL, certificate to trust, token of an administrator. Everything ends with the block."""
    token, port, etcd = secrets.token_hex(16), free_port(), f"http://127.0.0.1:{free_port()}"
    key = _key(directory / "service-account.key")
    with (directory / "tokens.csv").open("w", newline="") as file:
        csv.writer(file).writerow([token, "admin", "admin", "system:masters"])
    with ExitStack() as stack:
        peer = f"http://127.0.0.1:{free_port()}"
        stack.enter_context(
            _program(
                "etcd",
                directory,
                *("--data-dir", str(directory / "etcd"), "--unsafe-no-fsync"),
                *("--listen-client-urls", etcd, "--advertise-client-urls", etcd, "--listen-peer-urls", peer),
            )
        )
        stack.enter_context(
            _program(
                "kube-apiserver",
                directory,
                f"--etcd-servers={etcd}",
                *("--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--secure-port={port}"),
                *("--service-cluster-ip-range=10.0.0.0/24", f"--cert-dir={directory}", "--authorization-mode=RBAC"),
                *("--service-account-issuer=https://localhost", f"--service-account-key-file={key}"),
                *(f"--service-account-signing-key-file={key}", f"--token-auth-file={directory / 'tokens.csv'}"),
            )
        )
        url = f"https://localhost:{port}"
        eventually(lambda: _is_ready(url, token), timeout_s=120, message="kube-apiserver is not ready")
        config = directory / "controller-manager.yaml"
        config.write_text(_kubeconfig(url, token))
        stack.enter_context(
            _program("kube-controller-manager", directory, f"--kubeconfig={config}", "--leader-elect=false")
        )
        yield url, (directory / "apiserver.crt").read_bytes(), token


@contextmanager
def _program(name: str, directory: Path, *arguments: str) -> Generator[None]:
    program = Path(os.environ["KUBEBUILDER_ASSETS"]) / name
    with (directory / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([program, *arguments], stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)


def _is_ready(url: str, token: str) -> bool:
    request = Request(f"{url}/readyz", headers={"Authorization": f"Bearer {token}"})  # noqa: S310 - it is https
    unchecked = ssl._create_unverified_context()  # noqa: S323 - only to see whether it is up
    try:
        with urlopen(request, timeout=5, context=unchecked) as response:  # noqa: S310
            return bool(response.status == 200)
    except (URLError, OSError):
        return False


def _kubeconfig(url: str, token: str) -> str:
    return (
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n"
        f"clusters: [{{name: c, cluster: {{server: '{url}', insecure-skip-tls-verify: true}}}}]\n"
        f"users: [{{name: u, user: {{token: '{token}'}}}}]\n"
    )


def _key(path: Path) -> Path:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    return path
