-- Put leased jobs back: a failed attempt to be repeated later, or a hand-back to the front of its band.
-- ARGV per job: id, epoch, attempt, delay ms (-1 = to the front, does not count), history entry (JSON; '' = of a hand-back)
-- Returns per job: 1 done, 0 stale
local answer = {}
local waking = 0
for at = 2, #ARGV, 5 do
  local id, delay = ARGV[at], tonumber(ARGV[at + 3])
  local key = JOB .. id
  local job = call('HMGET', key, 'epoch', 'attempt', 'state', 'cancel', 'counted', 'history', 'band', 'tag', 'events',
    'action', 'deadline', 'executor', 'stream', 'told')
  local held = job[1] == ARGV[at + 1] and job[2] == ARGV[at + 2]
    and (job[3] == 'running' or job[3] == 'starting' or job[3] == 'settling')
  if held then
    call('ZREM', LEASE, id)
    call('HDEL', key, 'executor', 'claimed', 'started', 'progress', 'detail')
    if job[10] then
      to_settle(id, job[10])
      waking = waking + 1
    else
      local entry = ARGV[at + 4]
      if entry == '' then
        entry = string.format('{"number":%s,"outcome":"handed_back","error":null,"executor_id":%s,"ended_ms":%.0f}',
          job[2], cjson.encode(job[12]), NOW)
      end
      call('HSET', key, 'history', with_history(job[6], entry))
      if delay >= 0 then call('HINCRBY', key, 'counted', 1) end
      if job[4] == '1' then
        to_settle(id, 'settle_canceled')
        waking = waking + 1
      else
        local number, told = tell(id, job[13], job[14], tonumber(job[9] or 1) + 1, 'job.queued', string.format(
          '{"attempt":%s,"reason":"%s"}', job[2], delay >= 0 and 'failed' or 'handed_back'))
        call('HSET', key, 'state', 'queued', 'events', number, 'told', told)
        bound_by_deadline(id, job[11])
        if delay > 0 then
          call('ZADD', DELAYED, NOW + delay, id)
        else
          -- Tags are never negative, so -1 is ahead of everything in the band.
          make_ready(id, job[7], delay < 0 and -1 or job[8])
          waking = waking + 1
        end
      end
    end
    answer[#answer + 1] = 1
  else
    answer[#answer + 1] = 0
  end
end
if waking > 0 then ring(waking) end
return answer
