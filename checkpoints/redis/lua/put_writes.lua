-- Stores the writes of a task, whole or not at all.
--
-- ARGV 4 sealed key
--      5 n, then n of: chunk, bytes, chunk, bytes, …
--      then (name, 'first' or 'last', write)*: which of two writes with one name stays
-- Reply as in store.lua

local held = newer_fence()
if held then
  return held
end
local writes = 6 + tonumber(ARGV[5])
note_chunks(6, writes - 1)
for i = writes, #ARGV, 3 do
  if not stands(ARGV[i + 2], value_in_write(ARGV[i + 2])) then
    return 0
  end
end

store(6, writes - 1)
for i = writes, #ARGV, 3 do
  redis.call(ARGV[i + 1] == 'first' and 'HSETNX' or 'HSET', data, ARGV[i], ARGV[i + 2])
  redis.call('ZADD', index, 0, ARGV[i])
end
finish()
return 1
