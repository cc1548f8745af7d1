-- Stores the writes of a task, whole or not at all.
--
-- ARGV 4 seal
--      5 n, then n chunks that the caller believes to be stored already
--      then n, then n of chunk, bytes, chunk, bytes, …
--      then (name, 'first' or 'last', write)*: which of two writes with one name stays
-- Reply as in put.lua

local held = newer_fence()
if held then
  return held
end

local expected = tonumber(ARGV[5])
for i = 6, 5 + expected do
  if redis.call('HEXISTS', data, ARGV[i]) == 0 then
    return 0
  end
end

local chunks = 6 + expected
local writes = chunks + 1 + tonumber(ARGV[chunks])
store(chunks + 1, writes - 1)
for i = writes, #ARGV, 3 do
  redis.call(ARGV[i + 1] == 'first' and 'HSETNX' or 'HSET', data, ARGV[i], ARGV[i + 2])
  redis.call('ZADD', index, 0, ARGV[i])
end
if ARGV[4] ~= '' then
  redis.call('HSETNX', data, '.seal', ARGV[4])
end
raise_fence()
touch()
return 1
