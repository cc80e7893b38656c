-- Shared by every script (prepended when they are loaded).
--
-- KEYS, the same in this order for every script; all carry the hash tag {<queue>}, so a call stays in one slot:
--   1 ready:high   zset    jobs that may be claimed; score = fair-queueing tag (see charge)
--   2 ready:normal zset
--   3 ready:low    zset
--   4 fair         hash    v:<band> = virtual time of the band; f:<band>:<tenant> = tag that the tenant's next job gets
--   5 age          zset    jobs in ready:normal and ready:low; score = ms at which they entered that band
--   6 delayed      zset    jobs not to be claimed yet; score = ms at which they may
--   7 lease        zset    jobs held by somebody; score = ms at which the lease ends
--   8 expiry       zset    waiting jobs whose wait is bounded; score = ms of the expiry, after an attempt of the deadline
--   9 settle       zset    jobs of which only the outcome is to be written; score = ms at which that became so
--  10 counts       hash    jobs, bytes, and jobs:<tenant>, bytes:<tenant> of all unfinished jobs
--  11 bell         list    one token per consumer worth waking; a hint, never the truth
--  12 dead         zset    ids of jobs that failed for good; score = ms
--  13 job:         prefix  job:<id> hash, see below. Ids found inside a script (claims) are not known to its caller,
--  14 body:        prefix  so their keys are made from these prefixes, which have the same hash tag.
--  15 ev:          prefix  ev:<id> stream of the job's events, entry ids <number>-0, from 2 (1 is job.queued, implied).
--                          Only jobs that somebody listens to, or that report progress or logs, have one: a stream
--                          takes 4 KiB however short it is.
--  16 control      hash    paused, draining (1), rate (jobs per s), burst, tokens, at (ms when tokens was true)
--
-- job:<id>: tenant, band, weight, epoch, max (attempts), enqueued (ms), bytes; when it has them: expires, deadline (ms).
--   state     queued | starting | running | settle (waits to be settled) | settling (somebody does); absent = queued
--   action    what a settle lease is for
--   attempt   grows with every claim: the fence. counted: attempts that failed, died or were lost
--   tag       its score in ready, once charged. history: earlier attempts, JSON objects joined by commas
--   executor, claimed, started, progress, detail, cancel (1 = asked for)
--   events    number of the last event. stream: 1 once ev:<id> is kept; until then told has the status events so far,
--             lines of number, type, ms, data. rich: 1 = has more than status events
-- body:<id>: the orders. A key of its own, so that the hash stays small enough for Redis' compact encoding.
--
-- ARGV[1] is always the ms to add to the server's clock: 0, but for tests that turn it.

local READY = { high = KEYS[1], normal = KEYS[2], low = KEYS[3] }
local FAIR, AGE, DELAYED, LEASE, EXPIRY, SETTLE = KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local COUNTS, BELL, DEAD, JOB, BODY, EVENTS = KEYS[10], KEYS[11], KEYS[12], KEYS[13], KEYS[14], KEYS[15]
local CONTROL = KEYS[16]
local BANDS = { 'high', 'normal', 'low' }
local ABOVE = { normal = 'high', low = 'normal' }

local BELL_CAP = 64
local EVENTS_CAP = 1000
local STATUS_EVENTS_TTL_MS = 15000
local RICH_EVENTS_TTL_MS = 600000

local call = redis.call
local clock = call('TIME')
local NOW = clock[1] * 1000 + math.floor(clock[2] / 1000) + tonumber(ARGV[1])

-- Counts are added up and written once, at the end (flush).
local added = {}
local function count(tenant, jobs, bytes)
  added['jobs'] = (added['jobs'] or 0) + jobs
  added['bytes'] = (added['bytes'] or 0) + bytes
  added['jobs:' .. tenant] = (added['jobs:' .. tenant] or 0) + jobs
  added['bytes:' .. tenant] = (added['bytes:' .. tenant] or 0) + bytes
end

-- Start-time fair queueing: a job's tag is the later of the band's virtual time and the end of its tenant's previous
-- job; the next one starts 1/weight later. The virtual time follows the tags being claimed, so a tenant that was idle
-- has saved up nothing, and one with a thousand jobs waiting delays a newcomer by one turn.
local virtual, ends, fair_dirty = {}, {}, {}
local function virtual_time(band)
  if not virtual[band] then virtual[band] = tonumber(call('HGET', FAIR, 'v:' .. band) or 0) end
  return virtual[band]
end

local function charge(band, tenant, weight)
  local field = 'f:' .. band .. ':' .. tenant
  if not ends[field] then ends[field] = tonumber(call('HGET', FAIR, field) or 0) end
  local tag = math.max(virtual_time(band), ends[field])
  ends[field] = tag + 1 / weight
  fair_dirty[field] = ends[field]
  return tag
end

local function advance(band, tag)
  if tag > virtual_time(band) then
    virtual[band] = tag
    fair_dirty['v:' .. band] = tag
  end
end

local function flush()
  for field, value in pairs(fair_dirty) do
    call('HSET', FAIR, field, value)
  end
  for field, by in pairs(added) do
    if by ~= 0 and call('HINCRBY', COUNTS, field, by) <= 0 then
      call('HDEL', COUNTS, field)
      local tenant = string.match(field, '^jobs:(.*)$')
      -- A tenant without jobs needs no memory of its share: the virtual time has passed it.
      if tenant then call('HDEL', FAIR, 'f:high:' .. tenant, 'f:normal:' .. tenant, 'f:low:' .. tenant) end
      if field == 'jobs' then call('DEL', FAIR) end
    end
  end
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
    -- The stream outlived its job's hash (the job was queued anew): go on after its last entry.
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
  call('HSET', JOB .. id, 'stream', 1, 'told', '')
end

-- Put a waiting job where it can be claimed. A job that was charged for its turn keeps its tag.
local function make_ready(id, band, tag)
  call('ZADD', READY[band], tag, id)
  if band ~= 'high' then call('ZADD', AGE, NOW, id) end
end

-- Back to waiting after an attempt: from now on the deadline bounds the wait.
local function bound_by_deadline(id, deadline)
  if deadline then call('ZADD', EXPIRY, deadline, id) end
end

-- Take a waiting job out of wherever it waits.
local function take_out(id)
  call('ZREM', READY.high, id)
  call('ZREM', READY.normal, id)
  call('ZREM', READY.low, id)
  call('ZREM', AGE, id)
  call('ZREM', DELAYED, id)
  call('ZREM', EXPIRY, id)
  call('ZREM', SETTLE, id)
end

local function to_settle(id, action)
  call('HSET', JOB .. id, 'state', 'settle', 'action', action)
  call('ZADD', SETTLE, NOW, id)
end

-- Remove every trace but the events, which stay a while for those who listen.
local function forget(id, tenant, bytes, stream, rich)
  if call('ZREM', LEASE, id) == 0 then take_out(id) end
  call('UNLINK', JOB .. id, BODY .. id)
  if stream == '1' then
    call('PEXPIRE', EVENTS .. id, rich == '1' and RICH_EVENTS_TTL_MS or STATUS_EVENTS_TTL_MS)
  end
  count(tenant, -1, -bytes)
end

local function with_history(history, entry)
  if history and history ~= '' then return history .. ',' .. entry end
  return entry
end
