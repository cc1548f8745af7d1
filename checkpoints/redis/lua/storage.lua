-- Adds up what the fields of a thread take, page by page: their names and their values.
--
-- ARGV 4 where to go on: 0, or the cursor of the reply before
--      5 fields and chunks after which a page ends
-- Reply {cursor, {{letter, channel, fields, bytes, chunks}, …}}; the cursor is 0 at the end
--        letter is c for checkpoints, w for writes and answers of tool calls, and b for the values
--        of the channel; chunks are those that they stand on, each once: one string of
--        (16-byte name, 8 hex digits of bytes)

local AT_ONCE = 100

local groups, listed, work = {}, {}, 0

local function group_of(letter, channel)
  local key = letter .. channel
  if not groups[key] then
    local group = { letter = letter, channel = channel, fields = 0, bytes = 0, chunks = {} }
    local seen = {}
    group.visit = function(chunk, level)
      if seen[chunk] then
        return ''
      end
      seen[chunk] = true
      work = work + 1
      local field = 'k' .. chunk
      local size = #field + redis.call('HSTRLEN', data, field)
      group.chunks[#group.chunks + 1] = chunk .. string.format('%08x', size)
      return level > 1 and redis.call('HGET', data, field) or ''
    end
    groups[key] = group
    listed[#listed + 1] = group
  end
  return groups[key]
end

local function add(name, value)
  local letter, channel, value_at = string.sub(name, 1, 1), '', nil
  if letter == 'c' then
    value_at = value_in_record(value)
  elseif letter == 'b' then
    channel, value_at = part(name, skip(name, 2, 1)), 1
  elseif letter == 'w' then
    value_at = value_in_write(value)
  elseif letter == 'a' then -- an answer stands on no chunks
    letter = 'w'
  else
    return
  end
  local group = group_of(letter, channel)
  group.fields = group.fields + 1
  group.bytes = group.bytes + #name + #value
  if value_at then
    each_chunk(value, value_at, group.visit)
  end
end

local cursor = ARGV[4]
repeat
  local page = redis.call('HSCAN', data, cursor, 'COUNT', AT_ONCE)
  cursor = page[1]
  for i = 1, #page[2], 2 do
    add(page[2][i], page[2][i + 1])
  end
  work = work + #page[2] / 2
until cursor == '0' or work >= tonumber(ARGV[5])

for i, group in ipairs(listed) do
  listed[i] = { group.letter, group.channel, group.fields, group.bytes, table.concat(group.chunks) }
end
return { cursor, listed }
