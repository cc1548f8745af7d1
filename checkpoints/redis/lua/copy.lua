-- Copies a thread into this one, which must not exist.
--
-- KEYS 3 index, 4 data of the source   ARGV 4 its id
-- Reply 1, or 0 if it exists
if redis.call('EXISTS', index, data) > 0 then
  return is_copy_of(ARGV[4])
end
if redis.call('EXISTS', KEYS[3], KEYS[4]) == 2 then
  redis.call('COPY', KEYS[3], index)
  redis.call('COPY', KEYS[4], data)
  become_copy_of(ARGV[4])
  touch()
end
return 1
