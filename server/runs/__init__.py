"""Runs: what is asked is executed once, here or by another process, and its end is stored."""
