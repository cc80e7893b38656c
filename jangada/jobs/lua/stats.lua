-- One queue at a glance.
-- Returns {high, normal, low, delayed, leased, dead, jobs, bytes, oldest waiting ms or -1, flat counts, settling}
local oldest = -1
for _, key in ipairs({ READY.high, READY.normal, READY.low }) do
  local head = call('ZRANGE', key, 0, 0)[1]
  local enqueued = head and tonumber(call('HGET', JOB .. head, 'enqueued') or NOW)
  if enqueued and NOW - enqueued > oldest then oldest = NOW - enqueued end
end
return {
  call('ZCARD', READY.high), call('ZCARD', READY.normal), call('ZCARD', READY.low), call('ZCARD', DELAYED),
  call('ZCARD', LEASE), call('ZCARD', DEAD), tonumber(call('HGET', COUNTS, 'jobs') or 0),
  tonumber(call('HGET', COUNTS, 'bytes') or 0), oldest, call('HGETALL', COUNTS),
  call('ZCARD', SETTLE),
}
