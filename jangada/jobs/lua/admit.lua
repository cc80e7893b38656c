-- Say what enqueue.lua would say, and change nothing.
-- ARGV 2 queue_jobs 3 queue_bytes 4 tenant_jobs 5 tenant_bytes (caps; -1 = none), then per job: id, tenant, epoch, bytes
-- Returns per job: 1 accepted, 2 duplicate, 3 queue full, 4 tenant full, 5 draining
local caps = { tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]) }
local held = {}
local function holding(field)
  if not held[field] then held[field] = tonumber(call('HGET', COUNTS, field) or 0) end
  return held[field] + (added[field] or 0)
end

local drains = call('HGET', CONTROL, 'draining')
local answer = {}
for at = 6, #ARGV, 4 do
  local id, tenant, epoch, bytes = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local old = call('HGET', JOB .. id, 'epoch')
  local verdict = 1
  if old then
    if tonumber(old) >= epoch then verdict = 2 end
  elseif drains then
    verdict = 5
  elseif caps[1] >= 0 and holding('jobs') >= caps[1] or caps[2] >= 0 and holding('bytes') + bytes > caps[2] then
    verdict = 3
  elseif caps[3] >= 0 and holding('jobs:' .. tenant) >= caps[3]
    or caps[4] >= 0 and holding('bytes:' .. tenant) + bytes > caps[4] then
    verdict = 4
  else
    count(tenant, 1, bytes)
  end
  answer[#answer + 1] = verdict
end
return answer
