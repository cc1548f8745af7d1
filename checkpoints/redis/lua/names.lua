-- The names of all checkpoints of a thread, of every namespace, and the places of late ones.
return {
  redis.call('ZRANGEBYLEX', index, '[c', '(d'),
  redis.call('ZRANGEBYLEX', index, '[l', '(m'),
}
