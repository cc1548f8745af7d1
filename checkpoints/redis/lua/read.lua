-- Reads checkpoints with their channels and writes.
--
-- ARGV 4 bytes after which no further checkpoint is added
--      5 'newest', then 6 namespace 7 name of the checkpoint before which ('' none) 8 limit
--                  9 'bare': without channels and writes
--        'named',  then 6… names of checkpoints
--        'bare',   then 6… names, without channels and writes
-- Reply {sealed key, complete, chunks, {{name, record, {blob, …}, {write name, write, …}}, …}}
--        complete is 1 if nothing that was asked for is left out
--        chunks is one string of (16-byte name, 8 hex digits of length, bytes): each chunk once,
--        however many versions of however many channels share it

local names, limit
local bare = ARGV[5] == 'bare'
if ARGV[5] == 'newest' then
  bare = ARGV[9] == 'bare'
  limit = tonumber(ARGV[8])
  names = {}
  local next_name = newest_first(ARGV[6], ARGV[7] ~= '' and ARGV[7], limit + 1)
  while #names < limit do
    local name = next_name()
    if not name then
      break
    end
    names[#names + 1] = name
  end
else
  names = { unpack(ARGV, 6) }
  limit = #names + 1
end

local chunks, seen, size = {}, {}, 0
local function send(name)
  if seen[name] == nil then
    local chunk = redis.call('HGET', data, 'k' .. name) or ''
    seen[name] = chunk
    chunks[#chunks + 1] = name .. string.format('%08x', #chunk) .. chunk
    size = size + #chunk
  end
  return seen[name]
end

local budget, complete, found = tonumber(ARGV[4]), #names < limit and 1 or 0, {}
for _, name in ipairs(names) do
  local record = redis.call('HGET', data, name)
  if record then
    if size > budget then
      complete = 0
      break
    end
    local parsed = parse(name, record)
    each_chunk(record, value_in_record(record), send)
    local blobs, writes = {}, {}
    if not bare then
      for i, channel in ipairs(parsed.channels) do
        blobs[i] = channel.blob
      end
      blobs = values_of(blobs)
      for _, blob in ipairs(blobs) do
        if blob then
          each_chunk(blob, 1, send)
          size = size + #blob
        end
      end
      local write_names = writes_of(name)
      for i, write in ipairs(values_of(write_names)) do
        each_chunk(write, value_in_write(write), send)
        writes[2 * i - 1], writes[2 * i] = write_names[i], write
      end
    end
    found[#found + 1] = { name, record, blobs, writes }
    size = size + #record
  end
end

if #found > 0 then
  touch()
  raise_fence()
end
return { redis.call('HGET', data, '.key'), complete, table.concat(chunks), found }
