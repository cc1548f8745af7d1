"""What outlives a request: checkpoints and sessions in Redis, history in SQL."""
