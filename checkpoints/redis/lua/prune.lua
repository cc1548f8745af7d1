-- ARGV 4 checkpoints to keep a namespace ('' all)   5… names of checkpoints to delete
local doomed = {}
for i = 5, #ARGV do
  doomed[ARGV[i]] = true
end
sweep(tonumber(ARGV[4]) or math.huge, doomed)
