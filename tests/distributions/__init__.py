"""Checks of what is published: the wheel and the sdist. Run by ``nox -s wheel installed wheel_tests``."""
