"""The nodes, one a file: each takes the state and returns what it changes."""
