-- Stores a checkpoint, whole or not at all: everything is checked before the first write.
--
-- ARGV 4 sealed key   5 checkpoints to keep a namespace ('' all)   6 name   7 record
--      8 n, then n fields that must exist: values of channels that did not change
--      then n, then n fields that must not: channels that became empty
--      then (field, value)*: values of channels that changed, and chunks
-- Reply as in store.lua, or -1: the parent is gone, and with it what delta channels consist of

local at = 8
local function list()
  local names = {}
  for i = 1, tonumber(ARGV[at]) do
    names[i] = ARGV[at + i]
  end
  at = at + #names + 1
  return names
end

local unchanged, emptied = list(), list()
local name, record = ARGV[6], ARGV[7]

-- Whether a delta channel, which is not stored whole here, has lost what it is rebuilt from.
local function stands_on_nothing()
  local parent = part(record, 1)
  local ns = part(name, 2)
  if parent == '' or redis.call('HEXISTS', data, 'c' .. ns .. '\0' .. parent) == 1 then
    return false
  end
  local whole = {}
  for i = at, #ARGV, 2 do
    whole[ARGV[i]] = true
  end
  for _, channel in ipairs(parse(name, record).channels) do
    local stored = whole[channel.blob] or redis.call('HEXISTS', data, channel.blob) == 1
    if channel.delta and not stored then
      return true
    end
  end
  return false
end

-- Gives the checkpoint its place in the order; one that is put again keeps the place it has.
--
-- Who holds the thread's token writes what comes last, also where he forks from an old checkpoint.
-- Without a token only the parent is known to be older.
local function take_place()
  if redis.call('HEXISTS', data, name) == 1 then
    return
  end
  local ns, id = parts_of(name)
  local rank, parent = nil, part(record, 1)
  if ARGV[3] ~= '' then
    local _
    _, rank = newest_first(ns, nil, 2)()
  elseif parent ~= '' then
    rank = rank_of(ns, parent)
  end
  if rank and not behind(id, rank) then
    redis.call('ZADD', index, 0, last_place(ns, rank) .. '\0' .. id)
  end
  redis.call('ZADD', index, 0, name)
end

local held = newer_fence()
if held then
  return held
end
note_chunks(at, #ARGV)
local complete = stands(record, value_in_record(record))
for i = at, #ARGV, 2 do
  complete = complete and (is_chunk(ARGV[i]) or stands(ARGV[i + 1], 1))
end
for _, field in ipairs(unchanged) do
  complete = complete and redis.call('HEXISTS', data, field) == 1
end
if not complete then
  return 0
end
if stands_on_nothing() then
  return -1
end

take_place()
redis.call('HSET', data, name, record)
store(at, #ARGV)
in_slices(emptied, function(...)
  redis.call('HDEL', data, ...)
end)
finish()

-- The step that followed the parent is stored whole now.
in_slices(answers_of('c' .. part(name, 2) .. '\0' .. part(record, 1)), function(...)
  redis.call('HDEL', data, ...)
  redis.call('ZREM', index, ...)
end)

local keep = tonumber(ARGV[5])
if keep then
  local lowest, highest = names_from('c' .. part(name, 2) .. '\0')
  if redis.call('ZLEXCOUNT', index, lowest, highest) > keep then
    sweep(keep, {})
  end
end
return 1
