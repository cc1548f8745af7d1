-- Both keys of a thread as DUMP writes them, and the milliseconds they have to live.
return { redis.call('DUMP', index), redis.call('DUMP', data), redis.call('PTTL', data) }
