-- Part: who may enter.

-- Whether caps let a new job in: 1, or 3 queue full, 4 tenant full, 5 draining. ARGV 2..5 are the caps, 6 is 0 for
-- jobs that were accepted before, which a drain does not hold up.
local held = {}
local caps = {}
local function read_caps()
  for at = 1, 4 do
    caps[at] = tonumber(ARGV[at + 1])
  end
end
local function room(tenant, bytes)
  if control.draining and ARGV[6] ~= '0' then return 5 end
  if caps[1] >= 0 and numbers['jobs'] >= caps[1] or caps[2] >= 0 and numbers['bytes'] + bytes > caps[2] then return 3 end
  if caps[3] >= 0 or caps[4] >= 0 then
    local own = held[tenant]
    if not own then
      own = call('HMGET', TENANTS, 'j:' .. tenant, 'b:' .. tenant)
      held[tenant] = own
    end
    local jobs = tonumber(own[1] or 0) + (more_jobs[tenant] or 0)
    local size = tonumber(own[2] or 0) + (more_bytes[tenant] or 0)
    if caps[3] >= 0 and jobs >= caps[3] or caps[4] >= 0 and size + bytes > caps[4] then return 4 end
  end
  return 1
end
