-- Add the jobs that their caps allow, and ring the bell.
-- ARGV 2 queue_jobs 3 queue_bytes 4 tenant_jobs 5 tenant_bytes (caps; -1 = none) 6 new (0: accepted before, a drain lets them in)
--      then per job: id, tenant, band, weight, epoch, max, not_before ms ('' = now), expires ms ('' = never),
--      deadline ms ('' = none), body
-- Returns per job: 1 accepted, 2 duplicate, 3 queue full, 4 tenant full, 5 draining
local caps = { tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]) }
local held = {}
local function holding(field)
  if not held[field] then held[field] = tonumber(call('HGET', COUNTS, field) or 0) end
  return held[field] + (added[field] or 0)
end

local drains = ARGV[6] == '1' and call('HGET', CONTROL, 'draining')
local answer = {}
local waking = 0
for at = 7, #ARGV, 10 do
  local id, tenant, band, weight, epoch = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[at + 4])
  local max, not_before, expires, body = ARGV[at + 5], tonumber(ARGV[at + 6]), tonumber(ARGV[at + 7]), ARGV[at + 9]
  local bytes = #body
  local key = JOB .. id
  local old = call('HMGET', key, 'epoch', 'tenant', 'bytes', 'events', 'rich', 'stream', 'told')
  local events = nil
  local verdict = 1
  if old[1] and tonumber(old[1]) >= epoch then
    verdict = 2
  elseif old[1] then
    -- A later epoch replaces the job, and is no newcomer to the caps.
    forget(id, old[2], tonumber(old[3]), old[6], old[5])
    if old[6] == '1' then call('PERSIST', EVENTS .. id) end
    events = old[4] or 1
  elseif drains then
    verdict = 5
  elseif caps[1] >= 0 and holding('jobs') >= caps[1] or caps[2] >= 0 and holding('bytes') + bytes > caps[2] then
    verdict = 3
  elseif caps[3] >= 0 and holding('jobs:' .. tenant) >= caps[3]
    or caps[4] >= 0 and holding('bytes:' .. tenant) + bytes > caps[4] then
    verdict = 4
  end
  if verdict == 1 then
    count(tenant, 1, bytes)
    call('SET', BODY .. id, body)
    call('HSET', key, 'tenant', tenant, 'band', band, 'weight', weight, 'epoch', epoch, 'max', max,
      'enqueued', NOW, 'bytes', bytes)
    if events then call('HSET', key, 'events', events, 'rich', old[5] or '', 'stream', old[6] or '', 'told', old[7] or '') end
    if ARGV[at + 8] ~= '' then call('HSET', key, 'deadline', ARGV[at + 8]) end
    if expires then
      call('HSET', key, 'expires', expires)
      call('ZADD', EXPIRY, expires, id)
    end
    if not_before and not_before > NOW then
      call('ZADD', DELAYED, not_before, id)
    else
      local tag = charge(band, tenant, tonumber(weight))
      call('HSET', key, 'tag', tag)
      make_ready(id, band, tag)
      waking = waking + 1
    end
  end
  answer[#answer + 1] = verdict
end
flush()
if waking > 0 then ring(waking) end
return answer
