"""A Celery worker whose retries and time-out change between two tasks, without a restart.

Needs HOTCONFIG_DATABASE_URL, HOTCONFIG_REDIS_URL and `hotconfig migrate` once; CELERY_BROKER_URL and
CELERY_RESULT_BACKEND as usual. Run with `celery -A tasks worker`.
"""

import os

from celery import Celery, Task
from pydantic import BaseModel, Field

import hotconfig


@hotconfig.settings(service="email")
class EmailSettings(BaseModel):
    max_retries: int = Field(3, ge=0, le=20)
    timeout_seconds: float = Field(30, gt=0)


app = Celery("tasks", broker=os.environ.get("CELERY_BROKER_URL"), backend=os.environ.get("CELERY_RESULT_BACKEND"))
hc = hotconfig.HotConfig.from_env()
hc.start()  # in the parent of the pool; every process that it forks is live by itself
email = hc.bind(EmailSettings)


class MailServerError(Exception):
    """The mail server did not take it."""


@app.task(bind=True)
def send(self: Task, address: str, fails: int = 0) -> dict[str, float]:
    """Send one message; the first ``fails`` attempts are made to fail."""
    try:
        deliver(address, timeout_s=email.timeout_seconds, broken=self.request.retries < fails)
    except MailServerError as error:
        raise self.retry(exc=error, countdown=0, max_retries=email.max_retries) from error
    return {"retries": self.request.retries, "timeout_seconds": email.timeout_seconds}


def deliver(address: str, *, timeout_s: float, broken: bool) -> None:
    """Stands for the call to a mail server."""
    if broken:
        raise MailServerError(f"no answer within {timeout_s:g} s for {address}")
