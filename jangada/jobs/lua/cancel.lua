-- Cancel one job.
-- ARGV 2 id 3 executor (who settles) 4 lease ms
-- Returns {0} unknown, {1} signaled, {2, lease} taken; the lease as in exchange.lua, then now
local id, executor = ARGV[2], ARGV[3]
local key = JOB .. id
local job = call('HMGET', key, 'epoch', 'attempt', 'state', 'tenant', 'enqueued', 'history')
if not job[1] then return { 0 } end
if job[3] == 'running' or job[3] == 'starting' or job[3] == 'settling' then
  call('HSET', key, 'cancel', 1)
  return { 1 }
end
take_out(id)
local attempt = tonumber(job[2] or 0) + 1
call('HSET', key, 'attempt', attempt, 'state', 'settling', 'action', 'settle_canceled', 'cancel', 1, 'executor',
  executor, 'claimed', NOW)
call('ZADD', LEASE, NOW + tonumber(ARGV[4]), id)
return { 2, { id, job[1], attempt, job[4], call('GET', BODY .. id), 'settle_canceled', job[5], job[6] or '' }, NOW }
