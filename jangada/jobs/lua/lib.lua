-- Shared by every script (prepended when they are loaded).
--
-- KEYS, the same in this order for every script; all carry the hash tag {<queue>}, so a call stays in one slot:
--   1 numbers      hash    jobs, bytes (of all unfinished jobs); n:<band> = ready jobs; v:<band> = virtual time;
--                          stale = entries in lines of jobs that wait there no more; and how the queue is held up:
--                          paused, draining (1), rate (jobs per s), burst, tokens, at (ms at which tokens was true)
--   2 jobs         hash    id -> record, see below
--   3 turns:high   zset    tenants with ready jobs in that band; score = fair-queueing tag of their next one
--   4 turns:normal zset
--   5 turns:low    zset
--   6 heads        zset    "<band> <tenant>" of the lines in normal and low; score = ms, not later than its first
--                          job's entry into the band (a lower bound, corrected when it matters: see lift_old)
--   7 delayed      zset    jobs not to be claimed yet; score = ms at which they may
--   8 lease        zset    jobs held by somebody; score = ms at which the lease ends
--   9 expiry       zset    waiting jobs whose wait is bounded; score = ms of the expiry, after an attempt of the deadline
--  10 settle       zset    jobs of which only the outcome is to be written; score = ms at which that became so
--  11 tenants      hash    j:<tenant>, b:<tenant> = its unfinished jobs and their bytes; f:<band>:<tenant> = the tag
--                          that its next job gets, kept while its line is empty
--  12 bell         list    one token per consumer worth waking; a hint, never the truth
--  13 dead         zset    ids of jobs that failed for good; score = ms
--  14 line:        prefix  line:<band>:<tenant> list of ready jobs, in order. Tenant "\1" is the front of the band:
--                          jobs that had their turn before (handed back, lost, retried).
--  15 live:        prefix  live:<id> hash of a job that was claimed, canceled or listened to, see below
--  16 ev:          prefix  ev:<id> stream of the job's events, entry ids <number>-0, from 2 (1 is job.queued, implied).
--                          Only jobs that somebody listens to, or that report progress or logs, have one: a stream
--                          takes 4 KiB however short it is.
--  17 handed:      prefix  handed:<executor> what its last claim handed out, should the answer be lost
-- Ids found inside a script are not known to its caller, so their keys are made from prefixes with the same hash tag.
--
-- A queued job costs its record and one entry in a line, and that is all: a million of them fit in 300 MB. The record
-- is packed, big endian: its band (1 byte: h, n, l; in capitals while delayed and never claimed), ms of the enqueue
-- (6), ms of its entry into the band (6), epoch (4), most attempts (4), expires (6), deadline (6; both ms, 0 = none),
-- weight (4, float), length of the tenant's name (2), the name, and the body (the orders).
--
-- live:<id>:
--   state     queued | delayed | starting | running | settle (waits to be settled) | settling (somebody does);
--             absent = where the record says
--   epoch, tenant, bytes   copied from the record at the first claim: whoever has a lease never reads the record
--   action    what a settle lease is for
--   attempt   grows with every claim: the fence. counted: attempts that failed, died or were lost
--   since     ms at which it was last put back; history: earlier attempts, JSON objects joined by commas
--   executor, claimed, started, progress, detail, cancel (1 = asked for)
--   events    number of the last event. stream: 1 once ev:<id> is kept; until then told has the status events so far,
--             lines of number, type, ms, data. rich: 1 = has more than status events
--
-- ARGV[1] is always the ms to add to the server's clock: 0, but for tests that turn it.

local NUMBERS, JOBS = KEYS[1], KEYS[2]
local TURNS = { high = KEYS[3], normal = KEYS[4], low = KEYS[5] }
local HEADS, DELAYED, LEASE, EXPIRY, SETTLE = KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local TENANTS, BELL, DEAD, LINE, LIVE, EVENTS, HANDED = KEYS[11], KEYS[12], KEYS[13], KEYS[14], KEYS[15], KEYS[16], KEYS[17]
local BANDS = { 'high', 'normal', 'low' }
local ABOVE = { normal = 'high', low = 'normal' }
local LETTER = { high = 'h', normal = 'n', low = 'l' }
local BAND = { h = 'high', n = 'normal', l = 'low', H = 'high', N = 'normal', L = 'low' }
local FRONT = '\1'

local BATCH = 32
local BELL_CAP = 64
local EVENTS_CAP = 1000
local STATUS_EVENTS_TTL_MS = 15000
local RICH_EVENTS_TTL_MS = 600000
local SHORT_LINE = 512

local call = redis.call
local clock = call('TIME')
local NOW = clock[1] * 1000 + math.floor(clock[2] / 1000) + tonumber(ARGV[1])

-- The queue's numbers: read once, written once (flush).
local FIELDS = { 'jobs', 'bytes', 'n:high', 'n:normal', 'n:low', 'v:high', 'v:normal', 'v:low', 'stale' }
local CONTROLS = { 'paused', 'draining', 'rate', 'burst', 'tokens', 'at' }
local found = call('HMGET', NUMBERS, 'jobs', 'bytes', 'n:high', 'n:normal', 'n:low', 'v:high', 'v:normal', 'v:low',
  'stale', 'paused', 'draining', 'rate', 'burst', 'tokens', 'at')
local numbers, control, dirty = {}, {}, {}
for at, field in ipairs(FIELDS) do
  numbers[field] = tonumber(found[at] or 0)
end
for at, field in ipairs(CONTROLS) do
  control[field] = tonumber(found[#FIELDS + at] or nil)
end

local function set(field, value)
  numbers[field] = value
  dirty[field] = value
end

local function add(field, by)
  set(field, numbers[field] + by)
end

local more_jobs, more_bytes = {}, {}
local function count(tenant, jobs, bytes)
  add('jobs', jobs)
  add('bytes', bytes)
  more_jobs[tenant] = (more_jobs[tenant] or 0) + jobs
  more_bytes[tenant] = (more_bytes[tenant] or 0) + bytes
end

local function flush()
  for tenant, by in pairs(more_jobs) do
    if by ~= 0 and call('HINCRBY', TENANTS, 'j:' .. tenant, by) <= 0 then
      -- A tenant without jobs needs no memory of its share: the virtual time has passed it.
      call('HDEL', TENANTS, 'j:' .. tenant, 'b:' .. tenant, 'f:high:' .. tenant, 'f:normal:' .. tenant,
        'f:low:' .. tenant)
    elseif more_bytes[tenant] ~= 0 then
      call('HINCRBY', TENANTS, 'b:' .. tenant, more_bytes[tenant])
    end
  end
  if not next(dirty) then return end
  if numbers['jobs'] <= 0 then
    if numbers['stale'] > 0 then
      for _, band in ipairs(BANDS) do
        for _, tenant in ipairs(call('ZRANGE', TURNS[band], 0, -1)) do
          call('UNLINK', LINE .. band .. ':' .. tenant)
        end
      end
    end
    call('HDEL', NUMBERS, unpack(FIELDS))
    call('DEL', TENANTS, HEADS, TURNS.high, TURNS.normal, TURNS.low)
    return
  end
  local pairs_ = {}
  for field, value in pairs(dirty) do
    pairs_[#pairs_ + 1] = field
    pairs_[#pairs_ + 1] = value
  end
  call('HSET', NUMBERS, unpack(pairs_))
end

-- What a record says. `at` is where the body begins.
local function opened(record)
  local epoch, max, expires, deadline, weight, tenant, at = struct.unpack('>I4I4I6I6fI2c0', record, 14)
  return {
    epoch = epoch, max = max, expires = expires, deadline = deadline, weight = weight, tenant = tenant, at = at,
    letter = string.sub(record, 1, 1), band = BAND[string.sub(record, 1, 1)],
    enqueued = struct.unpack('>I6', record, 2), since = struct.unpack('>I6', record, 8), bytes = #record - at + 1,
  }
end

-- A job by its id; nil for one whose record is gone (somebody deleted keys by hand): no trace of it is left then, so
-- that it is in nobody's way, and the sweep brings it back.
local function read(id)
  local record = call('HGET', JOBS, id)
  if record then return opened(record), record end
  for _, place in ipairs({ DELAYED, LEASE, EXPIRY, SETTLE }) do
    call('ZREM', place, id)
  end
  call('UNLINK', LIVE .. id)
end

local function is_leased(state)
  return state == 'running' or state == 'starting' or state == 'settling'
end

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

local function to_settle(id, action)
  call('HSET', LIVE .. id, 'state', 'settle', 'action', action)
  call('ZADD', SETTLE, NOW, id)
end

local function ring(times)
  local room = math.min(times, BELL_CAP - call('LLEN', BELL))
  for _ = 1, room do
    call('LPUSH', BELL, 1)
  end
end

-- Append one event; returns its number.
local function publish(id, number, kind, data)
  local key = EVENTS .. id
  local entry = string.format('%.0f-0', number)
  local reply = redis.pcall('XADD', key, 'MAXLEN', '~', EVENTS_CAP, entry, 't', kind, 'd', data, 'at', NOW)
  if type(reply) == 'table' and reply.err then
    -- The stream outlived its job (which was queued anew): go on after its last entry.
    local last = call('XREVRANGE', key, '+', '-', 'COUNT', 1)
    number = tonumber(string.match(last[1][1], '^(%d+)')) + 1
    entry = string.format('%.0f-0', number)
    call('XADD', key, 'MAXLEN', '~', EVENTS_CAP, entry, 't', kind, 'd', data, 'at', NOW)
  end
  return number
end

-- Say a status event; returns its number and what `told` is from now on.
local function tell(id, stream, told, number, kind, data)
  if stream == '1' then return publish(id, number, kind, data), '' end
  return number, string.format('%s%.0f\t%s\t%.0f\t%s\n', told or '', number, kind, NOW, data)
end

-- Keep a stream from now on, beginning with what was told.
local function listen(id, stream, told)
  if stream == '1' then return end
  for number, kind, at, data in string.gmatch(told or '', '(%d+)\t([^\t]*)\t(%d+)\t([^\n]*)\n') do
    call('XADD', EVENTS .. id, number .. '-0', 't', kind, 'd', data, 'at', at)
  end
  call('HSET', LIVE .. id, 'stream', 1, 'told', '')
end

-- Back to waiting after an attempt: from now on the deadline bounds the wait.
local function bound_by_deadline(id, job)
  if job.deadline > 0 then call('ZADD', EXPIRY, job.deadline, id) end
end

-- Remove every trace of jobs but the events, which stay a while for those who listen.
local forgotten, forgotten_keys = {}, {}
local function forget(id, tenant, bytes, stream, rich)
  forgotten[#forgotten + 1] = id
  forgotten_keys[#forgotten_keys + 1] = LIVE .. id
  if stream == '1' then
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

local function with_history(history, entry)
  if history and history ~= '' then return history .. ',' .. entry end
  return entry
end

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

-- The jobs of a band in the order in which they are claimed: next_ready() only reads, take_ready() takes out what it
-- passed. A job that waits there no more (canceled, expired) is passed over and costs its tenant no turn.
local function begin_band(band, most)
  local rows = call('ZRANGE', TURNS[band], 0, most - 1, 'WITHSCORES')
  local walk = { band = band, most = most, turns = {}, touched = {}, stale = 0 }
  for at = 1, #rows, 2 do
    walk.turns[#walk.turns + 1] = { tenant = rows[at], tag = tonumber(rows[at + 1]), passed = 0, at = 0, ids = {},
      key = LINE .. band .. ':' .. rows[at] }
  end
  return walk
end

local function next_ready(walk)
  while walk.stale < 1000 do
    local turn = walk.turns[1]
    if not turn then return nil end
    if turn.at == #turn.ids then
      turn.asked = walk.most + 1
      turn.ids = call('LRANGE', turn.key, turn.passed, turn.passed + walk.most)
      turn.at = 0
    end
    if #turn.ids == 0 then
      table.remove(walk.turns, 1)
    else
      if turn.passed == 0 then walk.touched[#walk.touched + 1] = turn end
      turn.at, turn.passed = turn.at + 1, turn.passed + 1
      local id = turn.ids[turn.at]
      local record = call('HGET', JOBS, id)
      if record then
        local live = call('HMGET', LIVE .. id, 'state', 'attempt', 'history', 'events', 'stream', 'told')
        local letter = string.sub(record, 1, 1)
        if BAND[letter] == walk.band and (live[1] == 'queued' or not live[1] and letter == LETTER[walk.band]) then
          return id, opened(record), live, record, turn
        end
      end
      walk.stale = walk.stale + 1
    end
  end
end

-- The job that next_ready gave has its turn: its tenant's next one starts later.
local function pass_turn(walk, turn, weight)
  if turn.tenant == FRONT then return end
  turn.tag = turn.tag + 1 / weight
  local turns = walk.turns
  local at = 1
  while turns[at + 1] and (turns[at + 1].tag < turn.tag
    or turns[at + 1].tag == turn.tag and turns[at + 1].tenant < turn.tenant) do
    turns[at] = turns[at + 1]
    at = at + 1
  end
  turns[at] = turn
end

local function take_ready(walk)
  for _, turn in ipairs(walk.touched) do
    if turn.passed == 1 then
      call('LPOP', turn.key)
    else
      call('LTRIM', turn.key, turn.passed, -1)
    end
    if turn.at < #turn.ids or #turn.ids == turn.asked and call('EXISTS', turn.key) == 1 then
      if turn.tenant ~= FRONT then call('ZADD', TURNS[walk.band], turn.tag, turn.tenant) end
    else
      close_line(walk.band, turn.tenant, turn.tag)
    end
  end
  if walk.stale > 0 then add('stale', -walk.stale) end
end
