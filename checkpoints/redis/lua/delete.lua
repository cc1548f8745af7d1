-- Deletes the thread.
return redis.call('UNLINK', index, data)
