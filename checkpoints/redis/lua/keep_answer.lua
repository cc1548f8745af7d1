-- Keeps the answer of a tool call until the step that made it has its checkpoint.
--
-- ARGV 4 name   5 answer
-- Reply as in store.lua
local held = newer_fence()
if held then
  return held
end
if redis.call('EXISTS', index) == 0 then
  return 1 -- the thread was deleted: nothing of it may come back
end
redis.call('HSETNX', data, ARGV[4], ARGV[5])
redis.call('ZADD', index, 0, ARGV[4])
raise_fence()
touch()
return 1
