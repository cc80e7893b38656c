-- uses: lines
-- Cancel one job.
-- ARGV 2 id 3 executor (who settles) 4 lease ms
-- Returns {0} unknown, {1} signaled, {2, lease} taken; the lease as in exchange.lua
local id, executor = ARGV[2], ARGV[3]
local record = call('HGET', JOBS, id)
if not record then return { 0 } end
local key = LIVE .. id
local live = call('HMGET', key, 'state', 'attempt', 'history')
if is_leased(live[1]) then
  call('HSET', key, 'cancel', 1)
  return { 1 }
end
local job = opened(record)
take_out(id, job, live[1], live[2])
local attempt = tonumber(live[2] or 0) + 1
call('HSET', key, 'epoch', job.epoch, 'tenant', job.tenant, 'bytes', job.bytes, 'attempt', attempt, 'state', 'settling',
  'action', 'settle_canceled', 'cancel', 1, 'executor', executor, 'claimed', NOW)
call('ZADD', LEASE, NOW + tonumber(ARGV[4]), id)
flush()
return { 2, { id, job.epoch, attempt, job.tenant, string.sub(record, job.at), 'settle_canceled', job.enqueued,
  live[3] or '', NOW } }
