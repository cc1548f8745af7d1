"""What processes share in Redis: locks, events, each other's lives and failures."""
