-- uses: events lines forget walk
-- Close finished jobs, make due what is due, claim others: one atomic call.
-- ARGV 2 executor 3 want 4 settle 5 lease ms 6 running (1: claimed jobs run at once, 0: they are starting) 7 age ms
--      8 token ('' = none) 9 again (1: the answer to a call with this token was lost)
--      then per finished job: id, epoch, attempt, status, event (JSON)
-- Returns {finished flags, leases, now, next due ms or -1}; a lease is
--   {id, epoch, attempt, tenant, body, action ('' = run), enqueued, history, claimed}
local executor, want, settle, lease_ms = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local running, age_ms, token = ARGV[6] == '1', tonumber(ARGV[7]), ARGV[8]
-- A claim at the bell may be answered while another call is: each remembers its own.
local handed_key = HANDED .. executor .. (string.sub(token, -5) == ':bell' and ':bell' or '')
if #ARGV < 10 and numbers['jobs'] == 0 and call('EXISTS', JOBS, LEASE, SETTLE, DELAYED, EXPIRY) == 0 then
  -- No job at all, so nothing is due either: what a thousand idle executors find is to cost next to nothing.
  call('DEL', BELL)
  return { {}, {}, NOW, -1 }
end
local BATCH = 32
local ABOVE = { normal = 'high', low = 'normal' }
local woken = 0

local finished, closed = {}, {}
for at = 10, #ARGV, 5 do
  local id = ARGV[at]
  local live = call('HMGET', LIVE .. id, 'epoch', 'attempt', 'tenant', 'bytes', 'events', 'rich', 'stream', 'state')
  -- The attempt alone decides, not the lease: the outcome is stored, so a job whose lease ran out a moment ago,
  -- but that nobody claimed since, is closed all the same.
  if not closed[id] and live[1] == ARGV[at + 1] and live[2] == ARGV[at + 2] then
    if is_heard(live[7]) then publish(id, tonumber(live[5] or 1) + 1, 'job.' .. ARGV[at + 3], ARGV[at + 4]) end
    local job = not is_leased(live[8]) and read(id)
    if job then take_out(id, job, live[8], live[2]) end
    forget(id, live[3], tonumber(live[4]), live[7], live[6])
    closed[id] = true
    finished[#finished + 1] = 1
  else
    finished[#finished + 1] = 0
  end
end
forget_all()

local function first_due(key)
  local head = call('ZRANGE', key, 0, 0, 'WITHSCORES')
  return head[2] and tonumber(head[2])
end

local function due(key)
  return call('ZRANGEBYSCORE', key, '-inf', NOW, 'LIMIT', 0, BATCH)
end

local function lose(id)
  call('ZREM', LEASE, id)
  local key = LIVE .. id
  local live = call('HMGET', key, 'action', 'counted', 'cancel', 'attempt', 'executor', 'history', 'events', 'stream',
    'told')
  if live[1] then return to_settle(id, live[1]) end
  local job = read(id)
  if not job then return end
  local counted = tonumber(live[2] or 0) + 1
  local lost = string.format('{"number":%s,"outcome":"lost","error":null,"executor_id":%s,"ended_ms":%.0f}',
    live[4], cjson.encode(live[5]), NOW)
  call('HSET', key, 'counted', counted, 'history', with_history(live[6], lost))
  call('HDEL', key, 'executor', 'claimed', 'started', 'progress', 'detail')
  if live[3] == '1' then
    to_settle(id, 'settle_canceled')
  elseif counted >= job.max then
    to_settle(id, 'settle_lost')
  else
    local number, told = tell(id, live[8], live[9], tonumber(live[7] or 1) + 1, 'job.queued',
      string.format('{"attempt":%s,"reason":"lost"}', live[4]))
    call('HSET', key, 'state', 'queued', 'since', NOW, 'events', number, 'told', told)
    make_ready(job.band, FRONT, { id }, NOW)
    bound_by_deadline(id, job)
    woken = woken + 1
  end
end

-- Leases that ran out.
local lease_due = first_due(LEASE)
if lease_due and lease_due <= NOW then
  for _, id in ipairs(due(LEASE)) do
    lose(id)
  end
  lease_due = first_due(LEASE)
end

-- Waits that ran out.
local expiry_due = first_due(EXPIRY)
if expiry_due and expiry_due <= NOW then
  for _, id in ipairs(due(EXPIRY)) do
    local job = read(id)
    if job then
      local live = call('HMGET', LIVE .. id, 'state', 'attempt')
      take_out(id, job, live[1], live[2])
      to_settle(id, 'settle_expired')
    end
  end
  expiry_due = first_due(EXPIRY)
end

-- Delays that are over.
local delayed_due = first_due(DELAYED)
if delayed_due and delayed_due <= NOW then
  for _, id in ipairs(due(DELAYED)) do
    call('ZREM', DELAYED, id)
    local job, record = read(id)
    if job and call('HGET', LIVE .. id, 'attempt') then
      call('HSET', LIVE .. id, 'state', 'queued', 'since', NOW)
      make_ready(job.band, FRONT, { id }, NOW)
    elseif job then
      call('HSET', JOBS, id, LETTER[job.band] .. struct.pack('>I6I6', NOW, NOW) .. string.sub(record, 14))
      make_ready(job.band, job.tenant, { id }, NOW)
    end
    woken = woken + 1
  end
  delayed_due = first_due(DELAYED)
end

local leases = {}
local until_ms = NOW + lease_ms

local function hand(id, job, record, attempt, action, history, claimed)
  leases[#leases + 1] = { id, job.epoch, attempt, job.tenant, string.sub(record, job.at), action or '', job.enqueued,
    history or '', claimed }
end

-- What was handed out before, when the answer that said so was lost.
if ARGV[9] == '1' then
  local before = call('GET', handed_key)
  before = before and cmsgpack.unpack(before) or {}
  for at = 2, before[1] == token and #before or 0, 2 do
    local id = before[at]
    local live = call('HMGET', LIVE .. id, 'state', 'attempt', 'executor', 'action', 'history', 'claimed')
    if is_leased(live[1]) and tonumber(live[2]) == before[at + 1] and live[3] == executor then
      local job, record = read(id)
      if job then
        call('ZADD', LEASE, 'XX', until_ms, id)
        hand(id, job, record, before[at + 1], live[4], live[5], tonumber(live[6]))
        if not live[4] then want = math.max(0, want - 1) end
      end
    end
  end
end

-- How many may be claimed: none during a pause, else what the rate limit's bucket holds.
local asked, tokens = want, nil
if control.paused then
  want = 0
elseif control.rate and want > 0 then
  tokens = math.min(control.burst, control.tokens + math.max(0, NOW - control.at) * control.rate / 1000)
  want = math.min(want, math.floor(tokens))
end
local held_up = want < asked
local allowed = want

-- Ageing: old jobs rise while others are ahead of them. At most as many as are claimed, so a backlog of old jobs cannot
-- fill the band above faster than it empties: priority keeps its meaning under overload. They are charged there like
-- newcomers: fair shares hold too.
local function lift_old(most)
  local lifted = 0
  for _, member in ipairs(call('ZRANGEBYSCORE', HEADS, '-inf', NOW - age_ms, 'LIMIT', 0, BATCH)) do
    local band, tenant = string.match(member, '^(%a+) (.*)$')
    local key = LINE .. band .. ':' .. tenant
    local ahead = numbers['n:high'] + (band == 'low' and numbers['n:normal'] or 0)
    local passed = 0
    while ahead > 0 and lifted < most and passed < 1000 do
      local id = call('LINDEX', key, 0)
      if not id then break end
      local record = call('HGET', JOBS, id)
      local job = record and opened(record)
      local live = call('HMGET', LIVE .. id, 'state', 'since')
      if job and job.band == band and (live[1] == 'queued' or not live[1] and job.letter == LETTER[band]) then
        local since = tonumber(live[2]) or job.since
        if since > NOW - age_ms then
          call('ZADD', HEADS, since, member)
          break
        end
        call('LPOP', key)
        add('n:' .. band, -1)
        local above = ABOVE[band]
        call('HSET', JOBS, id, LETTER[above] .. string.sub(record, 2, 7) .. struct.pack('>I6', NOW)
          .. string.sub(record, 14))
        if live[1] then call('HSET', LIVE .. id, 'since', NOW) end
        make_ready(above, live[1] and FRONT or job.tenant, { id }, NOW)
        lifted = lifted + 1
      else
        call('LPOP', key)
        add('stale', -1)
      end
      passed = passed + 1
    end
    if passed > 0 and call('EXISTS', key) == 0 then close_line(band, tenant, call('ZSCORE', TURNS[band], tenant)) end
    if lifted >= most then break end
  end
end
local under_high = numbers['n:high'] > 0 and numbers['n:normal'] + numbers['n:low'] > 0
if want > 0 and (under_high or numbers['n:normal'] > 0 and numbers['n:low'] > 0) then
  lift_old(math.min(want, BATCH))
end

-- Outcomes to write.
local unsettled = settle > 0 and call('ZRANGE', SETTLE, 0, settle - 1) or {}
settling = #unsettled == settle
for _, id in ipairs(unsettled) do
  call('ZREM', SETTLE, id)
  local job, record = read(id)
  if job then
    local live = call('HMGET', LIVE .. id, 'attempt', 'action', 'history')
    local attempt = tonumber(live[1] or 0) + 1
    call('HSET', LIVE .. id, 'epoch', job.epoch, 'tenant', job.tenant, 'bytes', job.bytes, 'attempt', attempt,
      'state', 'settling', 'executor', executor, 'claimed', NOW)
    call('ZADD', LEASE, until_ms, id)
    hand(id, job, record, attempt, live[2], live[3], NOW)
  end
end

-- Jobs to run: the bands in order, within one by turn.
local state = running and 'running' or 'starting'
local who = cjson.encode(executor)
local claims = {}

-- Numbers given to a command are written out by the server for each job anew, which costs more than the command.
local written = {}
local function text(number)
  local known = written[number]
  if not known then
    known = string.format('%.0f', number)
    written[number] = known
  end
  return known
end
local now, until_text = text(NOW), text(until_ms)
local first_told

local function claim(id, job, live, record)
  local attempt = tonumber(live[2] or 0) + 1
  -- What is told of the claim is the same of every job of which nothing was told before and to which nobody listens.
  local is_plain = attempt == 1 and not live[4] and not live[5]
  local number, told
  if is_plain and first_told then
    number, told = 2, first_told
  else
    number, told = tell(id, live[5], live[6], tonumber(live[4] or 1) + 1, 'job.' .. state,
      string.format('{"attempt":%.0f,"executor_id":%s}', attempt, who))
    if is_plain then first_told = told end
  end
  local key = LIVE .. id
  if running then
    call('HSET', key, 'epoch', text(job.epoch), 'tenant', job.tenant, 'bytes', text(job.bytes),
      'attempt', text(attempt), 'state', state, 'executor', executor, 'claimed', now, 'started', now,
      'events', text(number), 'told', told)
  else
    call('HSET', key, 'epoch', text(job.epoch), 'tenant', job.tenant, 'bytes', text(job.bytes),
      'attempt', text(attempt), 'state', state, 'executor', executor, 'claimed', now,
      'events', text(number), 'told', told)
  end
  claims[#claims + 1] = until_text
  claims[#claims + 1] = id
  hand(id, job, record, attempt, nil, live[3], NOW)
end

for _, band in ipairs(BANDS) do
  local looked = 0
  while want > 0 and numbers['n:' .. band] > 0 and looked < 4 do
    local walk = begin_band(band, want)
    while want > 0 do
      local id, job, live, record, turn = next_ready(walk)
      if not id then break end
      add('n:' .. band, -1)
      if turn.tag > numbers['v:' .. band] then set('v:' .. band, turn.tag) end
      pass_turn(walk, turn, job.weight)
      if job.expires > 0 or job.deadline > 0 then call('ZREM', EXPIRY, id) end
      -- A job that was claimed before is bounded by its deadline, one that was not by its expiry.
      local bound = live[2] and job.deadline or job.expires
      if bound > 0 and bound <= NOW then
        -- More expired at once than one batch above takes out: it must not run all the same.
        to_settle(id, 'settle_expired')
      else
        want = want - 1
        claim(id, job, live, record)
      end
    end
    take_ready(walk)
    looked = looked + 1
  end
end
if #claims > 0 then call('ZADD', LEASE, unpack(claims)) end
if tokens then
  tokens = tokens - (allowed - want)
  call('HSET', NUMBERS, 'tokens', tokens, 'at', NOW)
end
if token ~= '' and #leases > 0 then
  local handed = { token }
  for _, lease in ipairs(leases) do
    handed[#handed + 1] = lease[1]
    handed[#handed + 1] = lease[3]
  end
  call('SET', handed_key, cmsgpack.pack(handed), 'PX', math.max(1, lease_ms))
end
flush()

local next_due = -1
local function sooner(ms)
  if ms and (next_due < 0 or ms < next_due) then next_due = ms end
end
sooner(lease_due)
sooner(expiry_due)
sooner(delayed_due)
if #leases > 0 then sooner(until_ms) end
local more = numbers['n:high'] + numbers['n:normal'] + numbers['n:low']
if more > 0 and not held_up then
  if woken > 0 then ring(math.min(woken, more)) end
else
  -- Nothing to claim: old tokens would wake nobody usefully.
  call('DEL', BELL)
end
if settling and call('ZCARD', SETTLE) > 0 then sooner(NOW) end
if more > 0 and not control.paused then
  sooner(tokens and tokens < 1 and NOW + math.ceil((1 - tokens) * 1000 / control.rate) or NOW)
end
return { finished, leases, NOW, next_due }
