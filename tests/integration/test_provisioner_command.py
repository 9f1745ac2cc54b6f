"""``hotconfig-provisioner`` as it is called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hotconfig.provisioner.command import run
from hotconfig.testing.kubernetes import KubernetesDouble
from tests.support.provisioners import ACME, Site

CREATE = ("create", "acme", "--name", "Acme", "--owner", "ann@acme.example", "--by", "ann", "--wait", "30")


@pytest.fixture
def site(
    migrated_url: str, kubernetes_double: KubernetesDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Site:
    made = Site(migrated_url, kubernetes_double, tmp_path)
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", migrated_url)
    monkeypatch.setenv("KUBECONFIG", str(made.kubeconfig))
    return made


def test_a_tenant_from_its_plan_to_its_end(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--json", *CREATE, "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0])["kind"] == "Namespace"
    assert site.double.get(ACME) is None
    assert run(["--json", *CREATE]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "active"
    assert run(["quota", "acme", "--cpu", "20", "--memory", "20Gi", "--storage", "50Gi", "--wait", "30"]) == 0
    site.assert_open(cpu="20")
    assert run(["offboard", "acme", "--wait", "30"]) == 0
    capsys.readouterr()
    assert run(["purge", "acme", "--json", "--purger", str(site.purger_config), "--wait", "30"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "deleted"
    assert run(["list"]) == 0
    assert "slug=acme  state=deleted" in capsys.readouterr().out


def test_an_option_counts_before_the_command_and_after_it(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOTCONFIG_DATABASE_URL")
    assert run(["--database-url", "postgresql://127.0.0.1:1/x", "list", "--database-url", site.database_url]) == 0
    assert run(["--database-url", site.database_url, "list"]) == 0
    assert run(["list"]) == 3
    assert "--database-url" in capsys.readouterr().err


def test_looking_takes_no_kubernetes(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run([*CREATE, "--json"]) == 0
    conditions = json.loads(capsys.readouterr().out)["conditions"]
    monkeypatch.delenv("KUBECONFIG")
    assert run(["get", "acme", "--json"]) == run(["list"]) == run(["history", "acme"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (found["state"], found["conditions"]) == ("active", conditions)
    assert [each["type"] for each in conditions] == ["ProbesIncomplete"]
    assert found["isolation_receipt"]["probes"]


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("hotconfig-provisioner ")


def test_what_is_not_finished_says_so(site: Site) -> None:
    assert run([*CREATE[:-1], "0"]) == 1
    assert run(["reconcile"]) == 0
    site.assert_open()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("get", "nobody"), 2, "there is no organization"),
        (("create", "kube-x", "--name", "X", "--owner", "a@b.example"), 2, "reserved"),
        (("--kubeconfig", "/nowhere", "plan", "acme"), 3, "cannot be used"),
    ],
)
def test_errors_say_what_to_do(
    site: Site, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, said: str
) -> None:
    assert run(arguments) == code
    assert said in capsys.readouterr().err
    assert site.double.get(ACME) is None


def test_what_became_of_a_tenant_and_what_protects_it(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--json", *CREATE]) == 0
    assert run(["protect", "acme", "--by", "ann", "--reason", "audit"]) == 0
    assert run(["offboard", "acme", "--by", "ann"]) == 2
    assert "protected" in capsys.readouterr().err
    assert run(["unprotect", "acme", "--by", "ann"]) == 0
    capsys.readouterr()
    assert run(["--json", "history", "acme"]) == 0
    events = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert events[-2:] == ["active", "create"]
    assert run(["--json", "probe", "acme"]) == 0, "nobody may impersonate here, so there is no breach either"
    assert json.loads(capsys.readouterr().out)["probes"]


def test_a_cycle_that_could_not_look_for_drift_is_no_success(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*CREATE]) == 0
    site.double.stop()
    assert run(["reconcile"]) == 4
    assert "unavailable=" in capsys.readouterr().out


def test_a_plan_with_nothing_in_it_says_so(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*CREATE]) == 0
    capsys.readouterr()
    assert run(["plan", "acme"]) == 0
    assert capsys.readouterr().err == "acme: nothing would change\n"


def test_the_manifests_name_the_role_that_may_be_bound(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--json", "manifests", "--cluster-role", "team-edit"]) == 0
    assert '"resourceNames": ["team-edit"]' in capsys.readouterr().out


def test_the_manifests_come_as_one_stream(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["manifests", "--image", "registry.example/hotconfig:1"]) == 0
    assert "registry.example/hotconfig:1" in capsys.readouterr().out
