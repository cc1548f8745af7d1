-- A stored value is: type \0 counts \0 names plain. `counts` has a hexadecimal digit for each level,
-- the highest first: how many names of it there are. A name has 16 bytes; at level 1 it is that of
-- a chunk of data, above that of a chunk of 16 names of the level below.

local NAME = 16

-- Calls visit(name, level) for every name in a value, whose type begins at `at`.
local function each_name(value, at, visit)
  local _, counts_at = part(value, at)
  local counts, names = part(value, counts_at)
  for i = 1, #counts do
    for _ = 1, tonumber(string.sub(counts, i, i), 16) do
      visit(string.sub(value, names, names + NAME - 1), #counts - i + 1)
      names = names + NAME
    end
  end
end

-- Calls visit(name, level) for every chunk that a value stands on. For a chunk of names, visit
-- returns its bytes.
local function each_chunk(value, at, visit)
  local function descend(name, level)
    local chunk = visit(name, level)
    if level > 1 then
      for i = 1, #chunk, NAME do
        descend(string.sub(chunk, i, i + NAME - 1), level - 1)
      end
    end
  end
  each_name(value, at, descend)
end

-- Where the value begins in a write: task path \0 channel \0 value
local function value_in_write(write)
  return skip(write, 1, 2)
end

-- Where the value begins in a record: parent \0 count \0 (channel \0 version \0)* value
local function value_in_record(record)
  local _, count_at = part(record, 1)
  local count, at = part(record, count_at)
  return skip(record, at, 2 * tonumber(count))
end
