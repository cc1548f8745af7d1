-- Stores a checkpoint, whole or not at all: everything is checked before the first write.
--
-- ARGV 4 seal   5 checkpoints to keep a namespace ('' all)   6 name   7 record
--      8 n, then n fields that the caller believes to be stored already
--      then n, then n fields that must not exist (channels that became empty)
--      then (field, value)*
-- Reply 1: stored; 0: something that was expected is missing, send everything; a string: the
-- thread's token, which is newer than the caller's

local held = newer_fence()
if held then
  return held
end

local at = 8
local function list()
  local names = {}
  for i = 1, tonumber(ARGV[at]) do
    names[i] = ARGV[at + i]
  end
  at = at + #names + 1
  return names
end

local expected, emptied = list(), list()
for _, field in ipairs(expected) do
  if redis.call('HEXISTS', data, field) == 0 then
    return 0
  end
end

local name = ARGV[6]
redis.call('HSET', data, name, ARGV[7])
redis.call('ZADD', index, 0, name)
store(at, #ARGV)
in_slices(emptied, function(...)
  redis.call('HDEL', data, ...)
end)
if ARGV[4] ~= '' then
  redis.call('HSETNX', data, '.seal', ARGV[4])
end
raise_fence()
touch()

local keep = tonumber(ARGV[5])
if keep then
  local lowest, highest = names_from('c' .. part(name, 2) .. '\0')
  if redis.call('ZLEXCOUNT', index, lowest, highest) > keep then
    sweep(keep, {})
  end
end
return 1
