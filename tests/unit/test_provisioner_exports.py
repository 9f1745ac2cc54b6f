"""What using the provisioner loads."""

from __future__ import annotations

import subprocess
import sys

import pytest

SHOW = "import sys; print(*sorted({name.split('.')[0] for name in sys.modules} & {'redis', 'psycopg', 'lightkube'}))"


@pytest.mark.parametrize(
    ("statement", "loaded"),
    [
        ("import hotconfig.provisioner", ""),
        ("from hotconfig.provisioner import CreateOrganization, Quota, TenantTemplate", ""),
        ("from hotconfig.provisioner import Provisioner, SyncProvisioner", "psycopg"),
        ("from hotconfig.provisioner import KubernetesClient", "lightkube"),
    ],
)
def test_nothing_is_loaded_before_it_is_needed(statement: str, loaded: str) -> None:
    done = subprocess.run([sys.executable, "-c", f"{statement}; {SHOW}"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == loaded


def test_every_exported_name_is_there() -> None:
    import hotconfig.provisioner as package

    names = [name for name in dir(package) if name[0].isupper() and name not in {"TYPE_CHECKING", "Any"}]
    assert len(names) == 20
    assert all(getattr(package, name).__name__ == name for name in names)
    with pytest.raises(AttributeError):
        _ = package.Nothing
