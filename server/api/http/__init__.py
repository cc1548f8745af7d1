"""What all doors share: problems, JSON, server-sent events, limits."""
