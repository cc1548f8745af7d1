"""Backups: everything the service keeps in one file, and back from there into any stores.

`backup` and `restore` say how; `file` what such a file holds.
"""
