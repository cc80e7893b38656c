-- Part: where jobs wait.
local FRONT = '\1'
local SHORT_LINE = 512

-- Start-time fair queueing between the tenants of a band: a line's tag is the later of the band's virtual time and the
-- end of its last job; the next one starts 1/weight later. The virtual time follows the tags being claimed, so a tenant
-- that was idle has saved up nothing, and one with a thousand jobs waiting delays a newcomer by one turn.
local function open_line(band, tenant, since)
  local tag = -1
  if tenant ~= FRONT then
    tag = math.max(numbers['v:' .. band], tonumber(call('HGET', TENANTS, 'f:' .. band .. ':' .. tenant) or 0))
  end
  call('ZADD', TURNS[band], tag, tenant)
  if band ~= 'high' then call('ZADD', HEADS, since, band .. ' ' .. tenant) end
end

local function close_line(band, tenant, tag)
  call('ZREM', TURNS[band], tenant)
  if band ~= 'high' then call('ZREM', HEADS, band .. ' ' .. tenant) end
  if tag and tenant ~= FRONT then call('HSET', TENANTS, 'f:' .. band .. ':' .. tenant, tag) end
end

-- Put waiting jobs where they can be claimed.
local function make_ready(band, tenant, ids, since)
  if call('RPUSH', LINE .. band .. ':' .. tenant, unpack(ids)) == #ids then open_line(band, tenant, since) end
  add('n:' .. band, #ids)
end

-- Take a ready job out of its line: at once from a short one, from a long one when its turn comes.
local function unready(id, band, tenant)
  add('n:' .. band, -1)
  local key = LINE .. band .. ':' .. tenant
  local length = call('LLEN', key)
  if length > SHORT_LINE then
    add('stale', 1)
  elseif call('LREM', key, 1, id) == 0 then
    add('stale', 1)
  elseif length == 1 then
    local tag = call('ZSCORE', TURNS[band], tenant)
    close_line(band, tenant, tag)
  end
end

-- Take a waiting job out of wherever it waits. `state` and `attempt` are those in live:<id>.
local function take_out(id, job, state, attempt)
  if state == 'settle' then
    call('ZREM', SETTLE, id)
  elseif state == 'delayed' or (not state and job.letter ~= string.lower(job.letter)) then
    call('ZREM', DELAYED, id)
  else
    unready(id, job.band, attempt and FRONT or job.tenant)
  end
  if job.expires > 0 or job.deadline > 0 then call('ZREM', EXPIRY, id) end
end

-- Whether there may be jobs to settle.
local settling = false

local function to_settle(id, action)
  settling = true
  call('HSET', LIVE .. id, 'state', 'settle', 'action', action)
  call('ZADD', SETTLE, NOW, id)
end

-- Back to waiting after an attempt: from now on the deadline bounds the wait.
local function bound_by_deadline(id, job)
  if job.deadline > 0 then call('ZADD', EXPIRY, job.deadline, id) end
end

local function with_history(history, entry)
  if history and history ~= '' then return history .. ',' .. entry end
  return entry
end
