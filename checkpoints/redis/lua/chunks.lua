-- A stored value is: level type \0 body. At level 0 the body is the value itself; above, it is a
-- list of 16-byte chunk names, and each of these chunks is data (level 1) or such a list again.

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
    local _, body = part(value, at + 1)
    each_chunk(level, string.sub(value, body), visit)
  end
end

-- A write is: task path \0 channel \0 value
local function write_value_at(write)
  local _, at = part(write, 1)
  _, at = part(write, at)
  return at
end
