"""``hotconfig-provisioner doctor``: what stands in the way, and what grants it."""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hotconfig.provisioner.command import run
from hotconfig.provisioner.manifests import doctor_rules, policies, provisioner_rules
from hotconfig.testing.kubernetes import KubernetesDouble, Rule

pytestmark = pytest.mark.timeout(120)
RULES = tuple(Rule.read(dict(rule)) for rule in (*provisioner_rules("tenant-admin"), *doctor_rules()))


@pytest.fixture
def double() -> Generator[KubernetesDouble]:
    with KubernetesDouble(provisioner_rules=RULES) as made:
        yield made


def examine(capsys: pytest.CaptureFixture[str], *arguments: str, code: int) -> dict[str, dict[str, Any]]:
    assert run(["--json", *arguments, "doctor"]) == code
    found = json.loads(capsys.readouterr().out)
    assert found["healthy"] is (code == 0)
    return {each["check"]: each for each in found["checks"]}


def test_nothing_stands_in_the_way(
    migrated_url: str, double: KubernetesDouble, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = str(double.kubeconfig(tmp_path, user="provisioner"))
    admin = str(double.kubeconfig(tmp_path, user="admin"))
    for each in policies():
        double.apply(dict(each))
    where = ("--database-url", migrated_url, "--kubeconfig", mine, "--purger", admin)
    found = examine(capsys, *where, code=0)
    for check in ("PostgreSQL", "primary", "schema", "role", "Kubernetes", "provisioner", "least privilege", "purger"):
        assert found[check]["state"] == "ok", found[check]
    assert found["isolation receipt"]["state"] == "note"
    assert found["policy hotconfig-fence"]["state"] == "ok", "ClusterRole hotconfig-provisioner sees it by name"
    found = examine(capsys, "--database-url", migrated_url, "--kubeconfig", admin, code=0)
    assert found["policy hotconfig-fence"]["state"] == found["isolation receipt"]["state"] == "ok"
    assert found["least privilege"]["state"] == "warning"
    assert found["purger"]["state"] == "note"


def test_a_missing_permission_is_named_with_what_grants_it(
    migrated_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with KubernetesDouble(provisioner_rules=RULES[:2]) as double:
        mine = str(double.kubeconfig(tmp_path, user="provisioner"))
        found = examine(capsys, "--database-url", migrated_url, "--kubeconfig", mine, code=1)
    lacking = found["provisioner"]
    assert lacking["state"] == "problem"
    assert "update resourcequotas/status" in lacking["found"]
    assert "bind clusterroles.rbac.authorization.k8s.io tenant-admin" in lacking["found"]
    assert "create namespaces" not in lacking["found"]
    assert "hotconfig-provisioner manifests | kubectl apply" in lacking["advice"]


def test_policies_that_are_missing_are_told_to_whoever_may_see_them(
    migrated_url: str, double: KubernetesDouble, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    admin = str(double.kubeconfig(tmp_path, user="admin"))
    found = examine(capsys, "--database-url", migrated_url, "--kubeconfig", admin, code=0)
    assert found["policy hotconfig-guard"]["state"] == "warning"


def test_policies_that_may_not_be_seen_are_a_note_and_no_problem(
    migrated_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with KubernetesDouble(provisioner_rules=RULES[:-1]) as double:
        mine = str(double.kubeconfig(tmp_path, user="provisioner"))
        found = examine(capsys, "--database-url", migrated_url, "--kubeconfig", mine, code=0)
    assert found["policy hotconfig-fence"]["state"] == "note"
    assert "hotconfig-provisioner manifests | kubectl apply" in found["policy hotconfig-fence"]["advice"]


def test_a_server_that_need_not_prove_itself_is_a_warning(
    migrated_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with KubernetesDouble(tls=False, provisioner_rules=RULES) as double:
        mine = str(double.kubeconfig(tmp_path, user="provisioner"))
        found = examine(capsys, "--database-url", migrated_url, "--kubeconfig", mine, code=0)
    assert found["Kubernetes"]["state"] == "warning"
    assert "https://" in found["Kubernetes"]["advice"]
    assert found["PostgreSQL encryption"]["state"] == "ok"


def test_servers_that_are_away_are_findings(
    double: KubernetesDouble, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = str(double.kubeconfig(tmp_path, user="provisioner"))
    double.stop()
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    found = examine(capsys, "--database-url", nowhere, "--kubeconfig", mine, code=1)
    assert found["PostgreSQL"]["state"] == found["Kubernetes"]["state"] == "problem"
    found = examine(capsys, "--database-url", "", "--kubeconfig", str(tmp_path / "none"), code=1)
    assert found["PostgreSQL"]["found"] == "not configured"
    assert found["Kubernetes"]["found"] == "cannot be used"


def test_a_role_without_grants_and_a_schema_without_tables(
    migrated_url: str, double: KubernetesDouble, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = str(double.kubeconfig(tmp_path, user="provisioner"))
    with psycopg.connect(migrated_url, autocommit=True) as admin:
        admin.execute("CREATE ROLE lacking LOGIN PASSWORD 'a-word'")
        try:
            url = re.sub("//[^@]*@", "//lacking:a-word@", migrated_url)
            found = examine(capsys, "--database-url", url, "--kubeconfig", mine, code=1)
            assert found["role"]["state"] == "problem"
            assert "grant_provisioner('lacking')" in found["role"]["advice"]
        finally:
            admin.execute("DROP ROLE lacking")
    found = examine(capsys, "--schema", "other", "--database-url", migrated_url, "--kubeconfig", mine, code=1)
    assert found["schema"]["advice"] == "run: hotconfig migrate"


def test_in_words_for_people(
    migrated_url: str, double: KubernetesDouble, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = str(double.kubeconfig(tmp_path, user="provisioner"))
    assert run(["--database-url", migrated_url, "--kubeconfig", mine, "doctor"]) == 0
    assert "ok       PostgreSQL: " in capsys.readouterr().out
