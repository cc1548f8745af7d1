"""A Valkey server as a process of the machine: what runs, where it listens, how it ends."""
