"""gunicorn's configuration for gevent with ``--preload``: patched before the application is loaded."""

from gevent import monkey

monkey.patch_all()
