"""What nodes are made of: one idea a file, no node."""
