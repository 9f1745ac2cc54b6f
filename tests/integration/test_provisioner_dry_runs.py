"""What the command line shows before and while it changes something: plans, progress, JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hotconfig.provisioner.command import run
from hotconfig.testing.kubernetes import KubernetesDouble
from tests.integration.test_provisioner_command import CREATE
from tests.support.provisioners import ACME, Site

pytestmark = pytest.mark.timeout(120)
QUOTA = ("quota", "acme", "--cpu", "20", "--memory", "20Gi", "--storage", "10Gi")


@pytest.fixture
def site(
    migrated_url: str, kubernetes_double: KubernetesDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Site:
    made = Site(migrated_url, kubernetes_double, tmp_path)
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", migrated_url)
    monkeypatch.setenv("KUBECONFIG", str(made.kubeconfig))
    return made


def dry(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[tuple[str, str]]:
    capsys.readouterr()
    assert run([*arguments, "--dry-run", "--json"]) == 0
    lines: list[dict[str, Any]] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [(line["verb"], line["kind"]) for line in lines]


def test_every_command_that_changes_something_shows_it_first(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert ("create", "Namespace") in dry(capsys, *CREATE)
    assert run(list(CREATE)) == 0
    stood = site.see(ACME), site.double.get(f"{ACME}/resourcequotas/hotconfig-quota")
    assert ("apply", "ResourceQuota") in dry(capsys, *QUOTA)
    assert ("apply", "Namespace") in dry(capsys, "suspend", "acme")
    assert ("apply", "RoleBinding") in dry(capsys, "offboard", "acme")
    assert dry(capsys, "reconcile") == []
    assert (site.see(ACME), site.double.get(f"{ACME}/resourcequotas/hotconfig-quota")) == stood
    assert run(["suspend", "acme", "--wait", "30"]) == 0
    assert ("apply", "Namespace") in dry(capsys, "resume", "acme")
    assert run(["offboard", "acme", "--wait", "30"]) == 0
    assert ("apply", "RoleBinding") in dry(capsys, "restore", "acme")
    assert ("delete", "Namespace") in dry(capsys, "purge", "acme")
    assert run(["get", "acme", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["state"] == "offboarding"


def test_a_dry_run_is_refused_where_the_request_would_be(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(list(CREATE)) == 0
    for arguments in (("resume",), ("restore",), ("purge", "--wait", "0"), ("adopt",)):
        capsys.readouterr()
        assert run([*arguments, "acme"]) == 2
        said = capsys.readouterr().err
        assert run([*arguments, "acme", "--dry-run"]) == 2
        assert capsys.readouterr().err == said, "in the same words"


def test_progress_is_a_line_for_each_step_on_stderr(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*CREATE, "--progress"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "claimed namespace org-acme"
    assert "applied ResourceQuota hotconfig-quota: ResourceQuota is missing" in lines
    assert "state active" in lines
    assert lines[-1].startswith("ProbesIncomplete: ")
    assert run([*QUOTA, "--wait", "30"]) == 0
    assert capsys.readouterr().err == "", "nobody looks at it"


def test_an_error_is_a_document_too(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--json", "get", "nobody"]) == 2
    assert json.loads(capsys.readouterr().err)["error"]["type"] == "UnknownOrganizationError"
    assert run(["manifests", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "List"
