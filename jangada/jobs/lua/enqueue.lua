-- uses: lines forget admission
-- Add the jobs that their caps allow, and ring the bell.
-- ARGV 2 queue_jobs 3 queue_bytes 4 tenant_jobs 5 tenant_bytes (caps; -1 = none) 6 new (0: accepted before, a drain lets
--      them in), then per job: id, tenant, band, not_before ms ('' = now), the record from its epoch on
-- Returns per job: 1 accepted, 2 duplicate, 3 queue full, 4 tenant full, 5 draining
read_caps()
local stamp = struct.pack('>I6I6', NOW, NOW)
local lines, order = {}, {}
local waking, telling = 0, 0

-- A later epoch replaces the job, which is no newcomer to the caps and goes on numbering its events.
local function replace(id, record)
  local live = call('HMGET', LIVE .. id, 'events', 'rich', 'stream', 'told')
  drop(id)
  if live[3] == '1' then call('PERSIST', EVENTS .. id) end
  call('HSET', LIVE .. id, 'events', live[1] or 1, 'rich', live[2] or '', 'stream', live[3] or '', 'told', live[4] or '')
  call('HSET', JOBS, id, record)
end

local answer = {}
for at = 7, #ARGV, 5 do
  local id, tenant, band, not_before, rest = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local epoch, _, expires = struct.unpack('>I4I4I6', rest)
  -- Behind the tenant's name, whose length stands before it, comes the body.
  local bytes = #rest - 26 - #tenant
  local delayed = not_before ~= '' and tonumber(not_before) > NOW
  local letter = LETTER[band]
  local record = (delayed and string.upper(letter) or letter) .. stamp .. rest
  local verdict = room(tenant, bytes)
  if verdict ~= 1 or call('HSETNX', JOBS, id, record) == 0 then
    local old = call('HGET', JOBS, id)
    if old then
      verdict = opened(old).epoch >= epoch and 2 or 1
      if verdict == 1 then replace(id, record) end
    end
  end
  if verdict == 1 then
    count(tenant, 1, bytes)
    if expires > 0 then call('ZADD', EXPIRY, expires, id) end
    if delayed then
      call('ZADD', DELAYED, not_before, id)
      -- Somebody idle is to know when it is due.
      telling = 1
    else
      local key = band .. ' ' .. tenant
      local line = lines[key]
      if not line then
        line = { band = band, tenant = tenant, ids = {} }
        lines[key] = line
        order[#order + 1] = line
      end
      line.ids[#line.ids + 1] = id
      waking = waking + 1
    end
  end
  answer[#answer + 1] = verdict
end
for _, line in ipairs(order) do
  make_ready(line.band, line.tenant, line.ids, NOW)
end
flush()
if waking + telling > 0 then ring(waking + telling) end
return answer
