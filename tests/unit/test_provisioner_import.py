"""What importing the provisioner's core costs: no driver, no runtime."""

from __future__ import annotations

import subprocess
import sys


def test_deciding_needs_no_driver_and_no_runtime() -> None:
    program = (
        "import sys; import hotconfig.provisioner.plan, hotconfig.provisioner.manifests, hotconfig.provisioner.rows, "
        "hotconfig.provisioner.brake, hotconfig.provisioner.kubernetes.port; "
        "loaded = {name.split('.')[0] for name in sys.modules}; "
        "assert not loaded & {'redis', 'psycopg', 'lightkube', 'httpx', 'pydantic', 'anyio'}, loaded; "
        "assert not [name for name in sys.modules if name.startswith(('hotconfig.runtime', 'hotconfig.redis'))]"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
