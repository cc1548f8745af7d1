-- Every script begins with this file.
--
-- KEYS 1 index, 2 data: a script declares all it touches, so a cluster can route it
-- ARGV 1 the caller's ttl in seconds ('' none given, '0' for ever)
--      2 the saver's ttl ('' none)
--      3 the caller's fencing token ('' none: always accepted)

local index, data = KEYS[1], KEYS[2]

-- One key without the other was expired or evicted: half a memory is worse than none.
if redis.call('EXISTS', index, data) == 1 then
  redis.call('UNLINK', index, data)
end

-- Renews the thread's time to live. What a caller asked for stays with the thread.
local function touch()
  local ttl = ARGV[1]
  if ttl == '-' then
    return
  end
  if ttl == '' then
    ttl = redis.call('HGET', data, '.ttl') or ARGV[2]
  elseif redis.call('HGET', data, '.ttl') ~= ttl then
    redis.call('HSET', data, '.ttl', ttl)
  end
  if ttl == '0' then
    redis.call('PERSIST', index)
    redis.call('PERSIST', data)
  elseif ttl ~= '' then
    redis.call('EXPIRE', index, ttl)
    redis.call('EXPIRE', data, ttl)
  end
end

-- The thread's token if it is newer than the caller's, whose turn was taken over.
local function newer_fence()
  local held = ARGV[3] ~= '' and redis.call('HGET', data, '.fence')
  return held and tonumber(ARGV[3]) < tonumber(held) and held
end

-- From now on the thread refuses the writes of every holder before the caller.
local function raise_fence()
  if ARGV[3] ~= '' and not newer_fence() then
    redis.call('HSET', data, '.fence', ARGV[3])
  end
end

-- The lexical bounds of all names that begin with a prefix, which always ends in \0.
local function names_from(prefix)
  return '[' .. prefix, '(' .. string.sub(prefix, 1, -2) .. '\1'
end

-- What belongs to a checkpoint, by its name: the same name with another first letter.
local function belonging(letter, checkpoint)
  local lowest, highest = names_from(letter .. string.sub(checkpoint, 2) .. '\0')
  return redis.call('ZRANGEBYLEX', index, lowest, highest)
end

local function writes_of(checkpoint)
  return belonging('w', checkpoint)
end

-- The answers of tool calls in the step that follows a checkpoint.
local function answers_of(checkpoint)
  return belonging('a', checkpoint)
end

-- The text up to the next \0, and where what follows it begins.
local function part(text, at)
  local stop = string.find(text, '\0', at, true)
  return string.sub(text, at, stop - 1), stop + 1
end

-- Where the text begins that follows some parts.
local function skip(text, at, parts)
  for _ = 1, parts do
    at = string.find(text, '\0', at, true) + 1
  end
  return at
end

-- A checkpoint's record: parent \0 count \0 (flag channel \0 version \0)* value
local function parse(name, record)
  local ns = part(name, 2)
  local parent, count, at, channel, version
  parent, at = part(record, 1)
  count, at = part(record, at)
  local channels = {}
  for i = 1, tonumber(count) do
    channel, at = part(record, at)
    version, at = part(record, at)
    local plain = string.sub(channel, 2)
    channels[i] = {
      name = plain,
      delta = string.sub(channel, 1, 1) == 'd',
      blob = 'b' .. ns .. '\0' .. plain .. '\0' .. version,
    }
  end
  return {
    parent = parent ~= '' and 'c' .. ns .. '\0' .. parent or nil,
    channels = channels,
  }
end

-- Lua's stack is small: no command gets more than 1,000 arguments at once.
local function in_slices(list, call, from, to)
  to = to or #list
  for first = from or 1, to, 1000 do
    call(unpack(list, first, math.min(first + 999, to)))
  end
end

local function values_of(names)
  local values = {}
  in_slices(names, function(...)
    local found = redis.call('HMGET', data, ...)
    for i = 1, select('#', ...) do
      values[#values + 1] = found[i]
    end
  end)
  return values
end
