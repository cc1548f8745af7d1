-- Deletes checkpoints and everything only they needed: mark what stays, sweep the rest.
--
-- Stays: in each namespace the newest `keep` checkpoints that are not doomed; their ancestors as
-- far as a delta channel of theirs needs them; the writes, answers, channel values and chunks of all these;
-- and writes and answers newer than every checkpoint, whose own is still on its way.

local function survivors(keep, doomed)
  local kept, newest = {}, {}
  for _, name in ipairs(redis.call('ZRANGEBYLEX', index, '[c', '(d')) do
    local ns = parts_of(name)
    if not newest[ns] then
      local count, next_name = 0, newest_first(ns, nil, 100)
      local candidate = next_name()
      newest[ns] = candidate
      while candidate and count < keep do
        if not doomed[candidate] then
          count = count + 1
          kept[#kept + 1] = candidate
        end
        candidate = next_name()
      end
    end
  end
  return kept, newest
end

-- Adds the ancestors that the delta channels of the kept checkpoints are rebuilt from. Where two
-- walks for one channel meet they go on alike, so the second one ends.
local function with_delta_ancestors(kept)
  local records, walked = {}, {}
  local function load(name)
    local record = redis.call('HGET', data, name)
    return record and parse(name, record)
  end
  local function open_channels(parsed, open)
    for _, channel in ipairs(parsed.channels) do
      if open[channel.name] and redis.call('HEXISTS', data, channel.blob) == 1 then
        open[channel.name] = nil
      end
    end
  end
  for _, name in ipairs(kept) do
    records[name] = load(name)
  end
  for _, name in ipairs(kept) do
    local parsed, open = records[name], {}
    for _, channel in ipairs(parsed.channels) do
      open[channel.name] = channel.delta or nil
    end
    open_channels(parsed, open)
    local ancestor = parsed.parent
    while ancestor and next(open) do
      walked[ancestor] = walked[ancestor] or {}
      for channel in pairs(open) do
        if walked[ancestor][channel] then
          open[channel] = nil
        else
          walked[ancestor][channel] = true
        end
      end
      if not next(open) then
        break
      end
      records[ancestor] = records[ancestor] or load(ancestor)
      if not records[ancestor] then
        break
      end
      open_channels(records[ancestor], open)
      ancestor = records[ancestor].parent
    end
  end
  return records
end

local function sweep(keep, doomed)
  local kept, newest = survivors(keep, doomed)
  local live = { ['.ttl'] = true, ['.fence'] = true, ['.key'] = true }
  local function mark(chunk, level)
    live['k' .. chunk] = true
    return level > 1 and redis.call('HGET', data, 'k' .. chunk)
  end
  for name, parsed in pairs(with_delta_ancestors(kept)) do
    live[name] = true
    local record = redis.call('HGET', data, name)
    each_chunk(record, value_in_record(record), mark)
    for _, channel in ipairs(parsed.channels) do
      local blob = not live[channel.blob] and redis.call('HGET', data, channel.blob)
      if blob then
        live[channel.blob] = true
        each_chunk(blob, 1, mark)
      end
    end
  end
  local function is_owned(name)
    local ns, at = part(name, 2)
    local checkpoint = 'c' .. ns .. '\0' .. part(name, at)
    return live[checkpoint] or not newest[ns] or behind(checkpoint, newest[ns])
  end
  for _, name in ipairs(redis.call('ZRANGEBYLEX', index, '[w', '(x')) do
    if is_owned(name) then
      local write = redis.call('HGET', data, name)
      live[name] = true
      each_chunk(write, value_in_write(write), mark)
    end
  end
  for _, name in ipairs(redis.call('ZRANGEBYLEX', index, '[a', '(b')) do
    live[name] = is_owned(name)
  end
  local dead = {}
  for _, name in ipairs(redis.call('HKEYS', data)) do
    if not live[name] then
      dead[#dead + 1] = name
    end
  end
  for _, member in ipairs(redis.call('ZRANGEBYLEX', index, '[l', '(m')) do
    local _, name = parse_late(member)
    if not live[name] then
      dead[#dead + 1] = member
    end
  end
  in_slices(dead, function(...)
    redis.call('HDEL', data, ...)
    redis.call('ZREM', index, ...)
  end)
  if redis.call('EXISTS', index) == 0 then
    redis.call('UNLINK', data)
  end
end
