-- Shared by every script (prepended when they are loaded, followed by the part_*.lua that the script's first line names:
-- what a script does not need costs it nothing).
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
--             lines of number, type, ms, data; end = somebody waits for its end, which alone is put there.
--             rich: 1 = has more than status events
--
-- ARGV[1] is always the ms to add to the server's clock: 0, but for tests that turn it.

local NUMBERS, JOBS = KEYS[1], KEYS[2]
local TURNS = { high = KEYS[3], normal = KEYS[4], low = KEYS[5] }
local HEADS, DELAYED, LEASE, EXPIRY, SETTLE = KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local TENANTS, BELL, DEAD, LINE, LIVE, EVENTS, HANDED = KEYS[11], KEYS[12], KEYS[13], KEYS[14], KEYS[15], KEYS[16], KEYS[17]
local BANDS = { 'high', 'normal', 'low' }
local LETTER = { high = 'h', normal = 'n', low = 'l' }
local BAND = { h = 'high', n = 'normal', l = 'low', H = 'high', N = 'normal', L = 'low' }

local BELL_CAP = 64

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

local function ring(times)
  local room = math.min(times, BELL_CAP - call('LLEN', BELL))
  for _ = 1, room do
    call('LPUSH', BELL, 1)
  end
end
