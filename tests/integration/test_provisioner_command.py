"""``hotconfig-provisioner`` as it is called."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from hotconfig.provisioner.command import run
from hotconfig.testing.kubernetes import KubernetesDouble
from tests.support.provisioners import ACME, Site

PROGRAM = "from hotconfig.provisioner.command import main; main()"
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
    assert run(["protect", "acme"]) == run(["unprotect", "acme"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "slug=acme  state=active  deletion_protected=True"
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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["create", "acme"], "the following arguments are required: --name, --owner. See hotconfig-provisioner create"),
        (["lits"], "invalid choice: 'lits'"),
        ([], "the following arguments are required: command. See hotconfig-provisioner --help."),
        ([*CREATE, "--wait", "long"], "argument --wait: invalid float value: 'long'"),
        (["list", "--schem", "x"], "unrecognized arguments: --schem x"),
    ],
)
def test_what_is_wrong_with_the_words_is_told_as_every_error(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == 2
    text = capsys.readouterr().err
    assert text.startswith("hotconfig-provisioner: ")
    assert said in text
    assert run([*words, "--json"]) == 2
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["type"] == "UsageError"
    assert said in error["message"]


def test_purging_without_the_purgers_identity_is_refused_before_anything_is_stored(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*CREATE]) == run(["offboard", "acme", "--wait", "30"]) == 0
    assert run(["purge", "acme"]) == 3
    assert "--purger" in capsys.readouterr().err
    assert run(["purge", "acme", "--purger", str(site.purger_config), "--wait", "30"]) == 0


def test_a_row_without_a_quota_is_adopted_with_one(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    with psycopg.connect(site.database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO hotconfig.organizations (id, name, owner_email) VALUES ('acme', 'Acme', 'ann@acme.example')"
        )
    assert run(["adopt", "acme", "--dry-run"]) == 2
    assert "quota_cpu" in capsys.readouterr().err
    assert run(["adopt", "acme", "--cpu", "4"]) == 2
    assert "give all three" in capsys.readouterr().err
    assert run(["adopt", "acme", "--cpu", "4", "--memory", "8Gi", "--storage", "1Gi", "--wait", "30"]) == 0
    site.assert_open(cpu="4")


def test_what_cannot_be_probed_any_more_says_so(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*CREATE]) == run(["offboard", "acme", "--wait", "30"]) == 0
    assert run(["purge", "acme", "--purger", str(site.purger_config), "--wait", "30"]) == 0
    assert run(["probe", "acme"]) == 2
    assert "is deleted" in capsys.readouterr().err


def test_a_dry_run_that_would_fail_says_that_nothing_was_changed(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.double.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "org-acme"}})
    assert run([*CREATE, "--dry-run"]) == 3
    assert "Nothing was changed." in capsys.readouterr().err


def test_errors_and_times_are_written_as_hotconfig_writes_them(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["history", "nobody", "--json"]) == 2
    error = json.loads(capsys.readouterr().err)["error"]
    assert (error["type"], "nobody" in error["message"]) == ("UnknownOrganizationError", True)
    assert run([*CREATE]) == 0
    capsys.readouterr()
    assert run(["history", "acme", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0])["at"].endswith("Z")


def test_who_asks_is_by_default_the_user_and_the_host(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*CREATE]) == run(["suspend", "acme"]) == 0
    capsys.readouterr()
    assert run(["history", "acme", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0])["by"].endswith(f"@{socket.gethostname()}")


def test_sigterm_ends_the_reconciler_in_order(site: Site) -> None:
    command = [sys.executable, "-c", PROGRAM, "--json", "run", "--interval", "60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert json.loads(running.stdout.readline())["rows"] == 0
        running.terminate()
        _, said = running.communicate(timeout=30)
    assert (running.returncode, said) == (0, "")


def test_a_reader_that_goes_away_is_no_complaint(site: Site) -> None:
    script = f"{sys.executable} -c '{PROGRAM}' manifests | true; echo ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert (ran.stdout.strip() in {"0", "141"}, ran.stderr) == (True, "")


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
