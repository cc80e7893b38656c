-- Close finished jobs, make due what is due, claim others: one atomic call.
-- ARGV 2 executor 3 want 4 settle 5 lease ms 6 running (1: claimed jobs run at once, 0: they are starting) 7 age ms
--      then per finished job: id, epoch, attempt, status, event (JSON)
-- Returns {finished flags, leases, now, next due ms or -1}; a lease is
--   {id, epoch, attempt, tenant, body, action ('' = run), enqueued, history}
local executor, want, settle, lease_ms = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local running, age_ms = ARGV[6] == '1', tonumber(ARGV[7])
local BATCH = 32
local woken = 0

local finished = {}
for at = 8, #ARGV, 5 do
  local id = ARGV[at]
  local job = call('HMGET', JOB .. id, 'epoch', 'attempt', 'tenant', 'bytes', 'events', 'rich', 'stream')
  -- The attempt alone decides, not the lease: the outcome is stored, so a job whose lease ran out a moment ago,
  -- but that nobody claimed since, is closed all the same.
  if job[1] == ARGV[at + 1] and job[2] == ARGV[at + 2] then
    if job[7] == '1' then publish(id, tonumber(job[5] or 1) + 1, 'job.' .. ARGV[at + 3], ARGV[at + 4]) end
    forget(id, job[3], tonumber(job[4]), job[7], job[6])
    finished[#finished + 1] = 1
  else
    finished[#finished + 1] = 0
  end
end

local function first_due(key)
  local head = call('ZRANGE', key, 0, 0, 'WITHSCORES')
  return head[2] and tonumber(head[2])
end

local function due(key)
  return call('ZRANGEBYSCORE', key, '-inf', NOW, 'LIMIT', 0, BATCH)
end

-- Leases that ran out.
local lease_due = first_due(LEASE)
if lease_due and lease_due <= NOW then
  for _, id in ipairs(due(LEASE)) do
    call('ZREM', LEASE, id)
    local key = JOB .. id
    local job = call('HMGET', key, 'action', 'counted', 'max', 'cancel', 'attempt', 'executor', 'history', 'band',
      'tag', 'events', 'deadline', 'stream', 'told')
    if job[1] then
      to_settle(id, job[1])
    else
      local counted = tonumber(job[2] or 0) + 1
      local lost = string.format('{"number":%s,"outcome":"lost","error":null,"executor_id":%s,"ended_ms":%.0f}',
        job[5], cjson.encode(job[6]), NOW)
      call('HSET', key, 'counted', counted, 'history', with_history(job[7], lost))
      call('HDEL', key, 'executor', 'claimed', 'started', 'progress', 'detail')
      if job[4] == '1' then
        to_settle(id, 'settle_canceled')
      elseif counted >= tonumber(job[3]) then
        to_settle(id, 'settle_lost')
      else
        local number, told = tell(id, job[12], job[13], tonumber(job[10] or 1) + 1, 'job.queued',
          string.format('{"attempt":%s,"reason":"lost"}', job[5]))
        call('HSET', key, 'state', 'queued', 'events', number, 'told', told)
        make_ready(id, job[8], job[9])
        bound_by_deadline(id, job[11])
        woken = woken + 1
      end
    end
  end
  lease_due = first_due(LEASE)
end

-- Waits that ran out.
local expiry_due = first_due(EXPIRY)
if expiry_due and expiry_due <= NOW then
  for _, id in ipairs(due(EXPIRY)) do
    take_out(id)
    to_settle(id, 'settle_expired')
  end
  expiry_due = first_due(EXPIRY)
end

-- Delays that are over.
local delayed_due = first_due(DELAYED)
if delayed_due and delayed_due <= NOW then
  for _, id in ipairs(due(DELAYED)) do
    call('ZREM', DELAYED, id)
    local job = call('HMGET', JOB .. id, 'band', 'tag', 'tenant', 'weight')
    local tag = job[2]
    if not tag then
      tag = charge(job[1], job[3], tonumber(job[4]))
      call('HSET', JOB .. id, 'tag', tag)
    end
    make_ready(id, job[1], tag)
    woken = woken + 1
  end
  delayed_due = first_due(DELAYED)
end

-- How many may be claimed: none during a pause, else what the rate limit's bucket holds.
local control = call('HMGET', CONTROL, 'paused', 'rate', 'burst', 'tokens', 'at')
local rate, tokens, held_up = tonumber(control[2]), nil, nil
local asked = want
if control[1] then
  want = 0
elseif rate and want > 0 then
  tokens = math.min(tonumber(control[3]), tonumber(control[4]) + math.max(0, NOW - tonumber(control[5])) * rate / 1000)
  want = math.min(want, math.floor(tokens))
end
held_up = want < asked
local allowed = want

-- Ageing. At most as many rise as are claimed, so a backlog of old jobs cannot fill the band above faster than it
-- empties: priority keeps its meaning under overload. They are charged there like newcomers: fair shares hold too.
if want > 0 then
  local oldest = first_due(AGE)
  if oldest and oldest <= NOW - age_ms then
    for _, id in ipairs(call('ZRANGEBYSCORE', AGE, '-inf', NOW - age_ms, 'LIMIT', 0, math.min(want, BATCH))) do
      local job = call('HMGET', JOB .. id, 'band', 'tenant', 'weight')
      local band = ABOVE[job[1]]
      call('ZREM', AGE, id)
      call('ZREM', READY[job[1]], id)
      local tag = charge(band, job[2], tonumber(job[3]))
      call('HSET', JOB .. id, 'band', band, 'tag', tag)
      make_ready(id, band, tag)
    end
  end
end

local leases = {}
local until_ms = NOW + lease_ms

-- Outcomes to write.
local unsettled = settle > 0 and call('ZRANGE', SETTLE, 0, settle - 1) or {}
for _, id in ipairs(unsettled) do
  call('ZREM', SETTLE, id)
  local job = call('HMGET', JOB .. id, 'epoch', 'attempt', 'tenant', 'action', 'enqueued', 'history')
  local attempt = tonumber(job[2] or 0) + 1
  call('HSET', JOB .. id, 'attempt', attempt, 'state', 'settling', 'executor', executor, 'claimed', NOW)
  call('ZADD', LEASE, until_ms, id)
  leases[#leases + 1] = { id, job[1], attempt, job[3], call('GET', BODY .. id), job[4], job[5], job[6] or '' }
end

-- Jobs to run: the bands in order, within one by tag.
local state = running and 'running' or 'starting'
local who = cjson.encode(executor)
local claims, aged = {}, {}
for _, band in ipairs(BANDS) do
  if want > 0 then
    local popped = call('ZPOPMIN', READY[band], want)
    for at = 1, #popped, 2 do
      local id = popped[at]
      local key = JOB .. id
      local job = call('HMGET', key, 'epoch', 'attempt', 'tenant', 'enqueued', 'history', 'events', 'expires', 'deadline',
        'stream', 'told')
      advance(band, tonumber(popped[at + 1]))
      if band ~= 'high' then aged[#aged + 1] = id end
      if job[7] or job[8] then call('ZREM', EXPIRY, id) end
      -- A job that was claimed before is bounded by its deadline, one that was not by its expiry.
      local bound = job[7]
      if job[2] then bound = job[8] end
      if bound and tonumber(bound) <= NOW then
        -- More expired at once than one batch above takes out: it must not run all the same.
        to_settle(id, 'settle_expired')
      else
        want = want - 1
        local attempt = tonumber(job[2] or 0) + 1
        local number, told = tell(id, job[9], job[10], tonumber(job[6] or 1) + 1, 'job.' .. state,
          string.format('{"attempt":%.0f,"executor_id":%s}', attempt, who))
        if running then
          call('HSET', key, 'attempt', attempt, 'state', state, 'executor', executor, 'claimed', NOW, 'started', NOW,
            'events', number, 'told', told)
        else
          call('HSET', key, 'attempt', attempt, 'state', state, 'executor', executor, 'claimed', NOW, 'events', number,
            'told', told)
        end
        claims[#claims + 1] = until_ms
        claims[#claims + 1] = id
        leases[#leases + 1] = { id, job[1], attempt, job[3], call('GET', BODY .. id), '', job[4], job[5] or '' }
      end
    end
  end
end
if #claims > 0 then call('ZADD', LEASE, unpack(claims)) end
if tokens then
  tokens = tokens - (allowed - want)
  call('HSET', CONTROL, 'tokens', tokens, 'at', NOW)
end
if #aged > 0 then call('ZREM', AGE, unpack(aged)) end
flush()

local next_due = -1
local function sooner(ms)
  if ms and (next_due < 0 or ms < next_due) then next_due = ms end
end
sooner(lease_due)
sooner(expiry_due)
sooner(delayed_due)
if #leases > 0 then sooner(until_ms) end
-- When want was filled there may be more; when it was not, every band is empty and old tokens would wake nobody usefully.
local more = (want == 0 or held_up) and (call('ZCARD', READY.high) + call('ZCARD', READY.normal) + call('ZCARD', READY.low)) or 0
if more > 0 and not held_up then
  if woken > 0 then ring(math.min(woken, more)) end
else
  call('DEL', BELL)
end
if call('ZCARD', SETTLE) > 0 then sooner(NOW) end
if more > 0 and not control[1] then
  sooner(tokens and tokens < 1 and NOW + math.ceil((1 - tokens) * 1000 / rate) or NOW)
end
return { finished, leases, NOW, next_due }
