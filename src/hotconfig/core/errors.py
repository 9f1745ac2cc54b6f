"""Every error that hotconfig raises on purpose.

The branches follow what the caller can do about it::

    HotConfigError
    ├── RetryableError                 try again later; nothing is wrong with your code
    │   ├── DatabaseUnavailableError   PostgreSQL cannot be reached, or refuses the login for now
    │   ├── RedisUnavailableError      Redis cannot be reached
    │   ├── ConflictError              the revision you expected is no longer the head
    │   ├── OutcomeUnknownError        the connection broke at COMMIT and the outcome could not be learnt
    │   └── WaitTimeoutError           what you waited for did not happen in time
    ├── ConfigurationError             mend URLs, credentials, privileges or the database, then start again
    │   ├── AccessDeniedError          wrong credentials, or a privilege is missing
    │   ├── SchemaMissingError         the tables are missing or older than this version of hotconfig
    │   ├── InvalidStateError          what PostgreSQL holds does not validate against your class
    │   ├── LastKnownGoodError         the last-known-good file cannot be read, believed or written
    │   └── EmbeddedServerError        no embedded server for this platform, or it did not start
    └── UsageError                     mend your code
        ├── DeclarationError           the settings class cannot be used as it is declared
        ├── NotBoundError              the object is not live, or its class was never bound
        ├── NotStartedError            ``start()`` was not called, or ``close()`` was
        ├── ReadOnlySettingsError      a live object was assigned to (also an ``AttributeError``)
        ├── UnknownKeyError            the class has no such key
        ├── InvalidValueError          the value does not fit the class, or cannot be stored as text
        └── SecretValueError           secrets do not belong into the database

A message names the service, the key and the revision, and says what to do. It never carries a value.
"""

from __future__ import annotations


class HotConfigError(Exception):
    """Root of all errors raised by hotconfig."""


class RetryableError(HotConfigError):
    """The same call may succeed later."""


class DatabaseUnavailableError(RetryableError):
    """PostgreSQL cannot be reached or did not answer in time."""


class RedisUnavailableError(RetryableError):
    """Redis cannot be reached or did not answer in time."""


class ConflictError(RetryableError):
    """The expected revision is not the head any more: somebody else wrote first. Read again, then decide."""


class OutcomeUnknownError(RetryableError):
    """The connection broke while committing and PostgreSQL could not be asked what became of it."""


class WaitTimeoutError(RetryableError, TimeoutError):
    """What was waited for did not happen within the given time."""


class ConfigurationError(HotConfigError):
    """Something around the program has to be mended: a URL, a privilege, a migration, a row."""


class AccessDeniedError(ConfigurationError):
    """The server refused the credentials, or the role lacks a privilege."""


class SchemaMissingError(ConfigurationError):
    """The hotconfig tables are missing, or their version does not fit this library. Run ``hotconfig migrate``."""


class InvalidStateError(ConfigurationError):
    """What PostgreSQL holds for a service does not validate against its class.

    ``problems`` maps every offending key to the reasons, without the values.
    """

    def __init__(self, message: str, problems: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.problems: dict[str, str] = dict(problems or {})


class LastKnownGoodError(ConfigurationError):
    """The last-known-good file cannot be read, believed or written. ``reason`` says which, in a few fixed words.

    It never comes alone: :class:`DatabaseUnavailableError` is raised from it, or it is logged.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class EmbeddedServerError(ConfigurationError):
    """The embedded PostgreSQL or Valkey is not available on this platform, or did not start."""


class UsageError(HotConfigError):
    """The calling code has to be mended."""


class DeclarationError(UsageError):
    """A settings class cannot be used as it is declared."""


class NotBoundError(UsageError):
    """The object is not a live settings object of this ``HotConfig``."""


class NotStartedError(UsageError):
    """The ``HotConfig`` is not running: not started yet, or closed already."""


class ReadOnlySettingsError(UsageError, AttributeError):
    """A live settings object or a snapshot was assigned to."""


class UnknownKeyError(UsageError):
    """There is no such service, or the service has no such key."""


class InvalidValueError(UsageError, ValueError):
    """A value does not fit its class, or cannot be stored as text. ``problems`` maps keys to reasons."""

    def __init__(self, message: str, problems: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.problems: dict[str, str] = dict(problems or {})


class SecretValueError(UsageError):
    """A secret was about to be written to the database. Store a reference to it instead."""
