-- The names of all checkpoints of a thread, of every namespace.
return redis.call('ZRANGEBYLEX', index, '[c', '(d')
