-- Which checkpoint of a namespace is newer than which.
--
-- An id is made of its writer's clock, and clocks differ: the child of a checkpoint may have a
-- smaller id than its parent, and is newer all the same. So a checkpoint has a rank: its own id, or
-- the rank of the one it follows, whichever is greater. Of two with one rank the later put is newer.
--
-- A checkpoint whose rank is its own id stands in the index by its name alone. A late one, whose
-- rank is another's, stands there a second time, with its place:
--      l<ns>\0<rank>\0<number>\0<id>      number: how many late ones of this rank came before
-- Earlier versions read the names and know nothing of places, so both may serve one store.

-- Whether one text sorts behind another by its bytes, as in the index (Lua's own > asks the locale).
local function behind(one, other)
  for i = 1, math.min(#one, #other) do
    local a, b = string.byte(one, i), string.byte(other, i)
    if a ~= b then
      return a > b
    end
  end
  return #one > #other
end

-- Namespace and id in the name of a checkpoint.
local function parts_of(name)
  local ns, at = part(name, 2)
  return ns, string.sub(name, at)
end

-- A late one's place in the index as (rank, name of the checkpoint, where the place ends).
local function parse_late(member)
  local ns, at = part(member, 2)
  local rank, number_at = part(member, at)
  local _, id_at = part(member, number_at)
  return rank, 'c' .. ns .. '\0' .. string.sub(member, id_at), id_at - 2
end

-- The late ones whose rank is at least an id, oldest first.
local function late_from(ns, id)
  local _, highest = names_from('l' .. ns .. '\0')
  return redis.call('ZRANGEBYLEX', index, '[l' .. ns .. '\0' .. id, highest)
end

-- The members of a range of the index, one a call, from the highest.
local function descending(highest, lowest, page_size)
  local page, at = {}, 0
  return function()
    if at == #page and highest then
      page, at = redis.call('ZREVRANGEBYLEX', index, highest, lowest, 'LIMIT', 0, page_size), 0
      highest = page[1] and '(' .. page[#page]
    end
    at = math.min(at + 1, #page + 1)
    return page[at]
  end
end

-- The checkpoints of a namespace, newest first: (name, rank) a call. Only those older than `before`,
-- the name of a checkpoint, if there is one; one that is not stored stands where its id would.
local function newest_first(ns, before, page_size)
  local lowest, highest = names_from('c' .. ns .. '\0')
  local late_lowest, late_highest = names_from('l' .. ns .. '\0')
  local passed = {} -- late ones that must not be met again under their own id
  if before then
    local _, id = parts_of(before)
    highest, late_highest = '(' .. before, '(l' .. ns .. '\0' .. id
    for _, member in ipairs(late_from(ns, id)) do
      local rank, name, place_end = parse_late(member)
      passed[name] = true
      if name == before then
        highest = '[c' .. ns .. '\0' .. rank
        late_highest = '(' .. string.sub(member, 1, place_end)
        passed = { [name] = true }
      end
    end
  end

  local next_name = descending(highest, lowest, page_size)
  local next_late = descending(late_highest, late_lowest, page_size)
  local name, late = next_name(), next_late()
  return function()
    while name or late do
      local id = name and string.sub(name, #ns + 3)
      local rank, late_name
      if late then
        rank, late_name = parse_late(late)
      end
      if late and not (id and behind(id, rank)) then
        late = next_late()
        passed[late_name] = true
        -- An earlier version deletes a checkpoint and leaves its place.
        if redis.call('HEXISTS', data, late_name) == 1 then
          return late_name, rank
        end
      else
        local found = name
        name = next_name()
        if not passed[found] then
          return found, id
        end
      end
    end
  end
end

-- The rank of a checkpoint, stored or not.
local function rank_of(ns, id)
  for _, member in ipairs(late_from(ns, id)) do
    local rank, name = parse_late(member)
    if name == 'c' .. ns .. '\0' .. id then
      return rank
    end
  end
  return id
end

-- The place behind all of one rank.
local function last_place(ns, rank)
  local prefix = 'l' .. ns .. '\0' .. rank .. '\0'
  local lowest, highest = names_from(prefix)
  local last = redis.call('ZREVRANGEBYLEX', index, highest, lowest, 'LIMIT', 0, 1)[1]
  local number = last and tonumber((part(last, #prefix + 1))) or 0
  return prefix .. string.format('%010d', number + 1)
end
