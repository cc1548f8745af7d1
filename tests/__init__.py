"""The tests mirror the rooms; `tests.service` and `tests.provider` are what they stand on."""
