"""The engine: loads graphs and runs turns on threads. No HTTP, and no import of `graph`."""
