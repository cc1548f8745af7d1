"""The agent as a state machine: what it decides, and in which order. No HTTP, no Redis, no SQL."""
