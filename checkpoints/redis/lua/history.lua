-- Walks from a checkpoint to its ancestors and gathers what rebuilds its delta channels: for each
-- channel the writes up to the nearest ancestor that stores a value, and that value, the seed. The
-- writes at the seed come after it and belong to the walk; those of the first checkpoint do not,
-- they are pending.
--
-- ARGV 4 namespace   5 checkpoint id ('' the latest)   6… channels
-- Reply {sealed key, chunks, {channel, blob, …}, {{write name, write, …}, …}}: newest ancestor first

local ns = ARGV[4] .. '\0'
local name = 'c' .. ns .. ARGV[5]
if ARGV[5] == '' then
  name = newest_first(ARGV[4], nil, 2)()
end

local open, remaining = {}, 0
for i = 6, #ARGV do
  open[ARGV[i]] = true
  remaining = remaining + 1
end

local chunks, seen = {}, {}
local function send(chunk_name)
  if seen[chunk_name] == nil then
    local chunk = redis.call('HGET', data, 'k' .. chunk_name) or ''
    seen[chunk_name] = chunk
    chunks[#chunks + 1] = chunk_name .. string.format('%08x', #chunk) .. chunk
  end
  return seen[chunk_name]
end

local seeds, groups = {}, {}
local record = name and redis.call('HGET', data, name)
if record then
  touch()
  raise_fence()
end
name = record and parse(name, record).parent
local visited = {} -- a circle of parents must not hang the server
while name and remaining > 0 and not visited[name] do
  visited[name] = true
  record = redis.call('HGET', data, name)
  if not record then
    break
  end
  local group, write_names = {}, writes_of(name)
  for i, write in ipairs(values_of(write_names)) do
    local _, channel_at = part(write, 1)
    local channel, value_at = part(write, channel_at)
    if open[channel] then
      each_chunk(write, value_at, send)
      group[#group + 1] = write_names[i]
      group[#group + 1] = write
    end
  end
  groups[#groups + 1] = group
  local parsed = parse(name, record)
  for _, channel in ipairs(parsed.channels) do
    local blob = open[channel.name] and redis.call('HGET', data, channel.blob)
    if blob then
      each_chunk(blob, 1, send)
      seeds[#seeds + 1] = channel.name
      seeds[#seeds + 1] = blob
      open[channel.name] = nil
      remaining = remaining - 1
    end
  end
  name = parsed.parent
end
return { redis.call('HGET', data, '.key'), table.concat(chunks), seeds, groups }
