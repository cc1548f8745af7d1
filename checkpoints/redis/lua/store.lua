-- What put.lua and put_writes.lua have in common.
--
-- Reply 1: stored. 0: a chunk is named that is neither sent nor stored, or something unchanged is
-- gone; send everything. A string: the thread's token, which is newer than the caller's.

local sent = {}

local function is_chunk(field)
  return string.sub(field, 1, 1) == 'k'
end

-- Notes which chunks are among the (field, value)* in a part of ARGV.
local function note_chunks(from, to)
  for i = from, to, 2 do
    if is_chunk(ARGV[i]) then
      sent[ARGV[i]] = true
    end
  end
end

-- Whether all chunks that a value names are sent or stored. A chunk of names is never stored
-- without what it names, so the names in the value itself are enough.
local function stands(value, at)
  local complete = true
  each_name(value, at, function(name)
    local field = 'k' .. name
    complete = complete and (sent[field] or redis.call('HEXISTS', data, field) == 1)
  end)
  return complete
end

-- Stores a part of ARGV: (field, value)*
local function store(from, to)
  in_slices(ARGV, function(...)
    redis.call('HSET', data, ...)
  end, from, to)
end

local function finish()
  if ARGV[4] ~= '' then
    redis.call('HSETNX', data, '.key', ARGV[4])
  end
  raise_fence()
  touch()
end
