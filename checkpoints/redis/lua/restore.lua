-- Makes this thread, which must not exist, from what dump.lua returned.
--
-- ARGV 4 id of the source   5 index   6 data   7 milliseconds to live (negative: for ever)
-- Reply 1, or 0 if it exists
if redis.call('EXISTS', index, data) > 0 then
  return is_copy_of(ARGV[4])
end
local ttl = math.max(0, tonumber(ARGV[7]))
redis.call('RESTORE', index, ttl, ARGV[5])
redis.call('RESTORE', data, ttl, ARGV[6])
become_copy_of(ARGV[4])
touch()
return 1
