-- Makes this thread, which must not exist, from what dump.lua returned.
--
-- ARGV 4 index   5 data   6 milliseconds to live (negative: for ever)
-- Reply 1, or 0 if it exists
if redis.call('EXISTS', index, data) > 0 then
  return 0
end
local ttl = math.max(0, tonumber(ARGV[6]))
redis.call('RESTORE', index, ttl, ARGV[4])
redis.call('RESTORE', data, ttl, ARGV[5])
redis.call('HDEL', data, '.fence')
touch()
return 1
