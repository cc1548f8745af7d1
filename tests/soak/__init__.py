"""Real processes, really killed, and two accounts of what became of their turns: `make soak`."""
