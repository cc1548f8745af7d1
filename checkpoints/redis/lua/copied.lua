-- A copy notes what it is a copy of: a caller that lost the reply asks again, and has not failed.

local function origin(source)
  return redis.call('ZCARD', index) .. '\0' .. source
end

local function become_copy_of(source)
  redis.call('HDEL', data, '.fence')
  redis.call('HSET', data, '.copy', origin(source))
end

-- 1 if the thread is a copy to which nothing was added since, else 0
local function is_copy_of(source)
  return redis.call('HGET', data, '.copy') == origin(source) and 1 or 0
end
