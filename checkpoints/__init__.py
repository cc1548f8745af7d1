"""What outlives a request: checkpoints in Redis, threads, runs and history in SQL."""
