-- The answers that are kept of a step.
--
-- ARGV 4 namespace   5 id of the checkpoint that the step began from
-- Reply {name, answer, name, answer, …}
raise_fence()
local found = {}
for _, name in ipairs(answers_of('c' .. ARGV[4] .. '\0' .. ARGV[5])) do
  found[#found + 1] = name
  found[#found + 1] = redis.call('HGET', data, name)
end
return found
