-- A stored value is: level type \0 value, where the level is 0, or: level type \0 size \0 head names.
-- The head has `size` bytes, the names 16 each. At level 1 they name chunks of data, above that
-- chunks of names of the level below.

local NAME = 16

-- Calls visit(name, is_list) for every chunk below a value, and goes into what visit returns.
local function each_chunk(level, names, visit)
  for at = 1, #names, NAME do
    local chunk = visit(string.sub(names, at, at + NAME - 1), level > 1)
    if level > 1 then
      each_chunk(level - 1, chunk, visit)
    end
  end
end

local function each_chunk_of(value, at, visit)
  local level = tonumber(string.sub(value, at, at))
  if level > 0 then
    local _, size_at = part(value, at + 1)
    local size, head_at = part(value, size_at)
    each_chunk(level, string.sub(value, head_at + tonumber(size)), visit)
  end
end

-- A write is: task path \0 channel \0 value
local function write_value_at(write)
  local _, at = part(write, 1)
  _, at = part(write, at)
  return at
end
