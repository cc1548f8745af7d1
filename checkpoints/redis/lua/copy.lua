-- Copies a thread into this one, which must not exist.
--
-- KEYS 3 index, 4 data of the source
-- Reply 1, or 0 if it exists
if redis.call('EXISTS', index, data) > 0 then
  return 0
end
if redis.call('EXISTS', KEYS[3], KEYS[4]) == 2 then
  redis.call('COPY', KEYS[3], index)
  redis.call('COPY', KEYS[4], data)
  redis.call('HDEL', data, '.fence')
  touch()
end
return 1
