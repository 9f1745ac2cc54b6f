"""A Celery application with the service of :mod:`tests.faults.programs.served` in it."""

from __future__ import annotations

import os

from celery import Celery

from tests.faults.programs import served

app = Celery("tasks", broker=os.environ["CELERY_BROKER"])
app.conf.update(broker_connection_retry_on_startup=True, worker_hijack_root_logger=False, task_ignore_result=True)


@app.task  # type: ignore[untyped-decorator]
def look() -> None:
    """Write down what the process that carries out tasks sees."""
    served.note("looked", number=served.settings.number)
