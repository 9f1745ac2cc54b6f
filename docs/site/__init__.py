"""Builds the documentation site, and the pages that are made from the code. Not part of the package.

`python -m docs.site build` and `python -m docs.site commands`; see CONTRIBUTING.md.
"""
