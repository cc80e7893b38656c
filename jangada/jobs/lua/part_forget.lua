-- Part: jobs that leave (needs lines).
local STATUS_EVENTS_TTL_MS = 15000
local RICH_EVENTS_TTL_MS = 600000

-- Remove every trace of jobs but the events, which stay a while for those who listen.
local forgotten, forgotten_keys = {}, {}
local function forget(id, tenant, bytes, stream, rich)
  forgotten[#forgotten + 1] = id
  forgotten_keys[#forgotten_keys + 1] = LIVE .. id
  if stream == '1' or stream == 'end' then
    call('PEXPIRE', EVENTS .. id, rich == '1' and RICH_EVENTS_TTL_MS or STATUS_EVENTS_TTL_MS)
  end
  count(tenant, -1, -bytes)
end

-- The part of it that is done for all at once.
local function forget_all()
  if #forgotten == 0 then return end
  call('HDEL', JOBS, unpack(forgotten))
  call('UNLINK', unpack(forgotten_keys))
  call('ZREM', LEASE, unpack(forgotten))
  forgotten, forgotten_keys = {}, {}
end

-- Forget a job whatever it is doing.
local function drop(id)
  local record = call('HGET', JOBS, id)
  if not record then return end
  local job, live = opened(record), call('HMGET', LIVE .. id, 'state', 'attempt', 'stream', 'rich')
  if not is_leased(live[1]) then take_out(id, job, live[1], live[2]) end
  forget(id, job.tenant, job.bytes, live[3], live[4])
  forget_all()
end
