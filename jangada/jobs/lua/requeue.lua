-- uses: events lines
-- Put leased jobs back: a failed attempt to be repeated later, or a hand-back to the front of its band.
-- ARGV per job: id, epoch, attempt, delay ms (-1 = to the front, does not count), history entry (JSON; '' = of a hand-back)
-- Returns per job: 1 done, 0 stale
local waking = 0

local function put_back(id, job, live, delay, entry)
  local key = LIVE .. id
  call('ZREM', LEASE, id)
  call('HDEL', key, 'executor', 'claimed', 'started', 'progress', 'detail')
  if live[7] then
    waking = waking + 1
    return to_settle(id, live[7])
  end
  if entry == '' then
    entry = string.format('{"number":%s,"outcome":"handed_back","error":null,"executor_id":%s,"ended_ms":%.0f}',
      live[2], cjson.encode(live[8]), NOW)
  end
  call('HSET', key, 'history', with_history(live[5], entry))
  if delay >= 0 then call('HINCRBY', key, 'counted', 1) end
  if live[4] == '1' then
    waking = waking + 1
    return to_settle(id, 'settle_canceled')
  end
  local number, told = tell(id, live[9], live[10], tonumber(live[6] or 1) + 1, 'job.queued', string.format(
    '{"attempt":%s,"reason":"%s"}', live[2], delay >= 0 and 'failed' or 'handed_back'))
  call('HSET', key, 'state', delay > 0 and 'delayed' or 'queued', 'since', NOW, 'events', number, 'told', told)
  bound_by_deadline(id, job)
  if delay > 0 then
    call('ZADD', DELAYED, NOW + delay, id)
    -- Somebody idle is to know when it is due.
    waking = waking + 1
  else
    make_ready(job.band, FRONT, { id }, NOW)
    -- The first may wake the very executor that is ending.
    waking = waking + (delay < 0 and 2 or 1)
  end
end

local answer = {}
for at = 2, #ARGV, 5 do
  local id = ARGV[at]
  local live = call('HMGET', LIVE .. id, 'epoch', 'attempt', 'state', 'cancel', 'history', 'events', 'action', 'executor',
    'stream', 'told')
  local is_held = live[1] == ARGV[at + 1] and live[2] == ARGV[at + 2] and is_leased(live[3])
  local job = is_held and read(id)
  if job then
    put_back(id, job, live, tonumber(ARGV[at + 3]), ARGV[at + 4])
    answer[#answer + 1] = 1
  else
    answer[#answer + 1] = 0
  end
end
flush()
if waking > 0 then ring(waking) end
return answer
