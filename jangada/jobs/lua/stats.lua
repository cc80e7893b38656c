-- One queue at a glance.
-- Returns {high, normal, low, delayed, leased, dead, jobs, bytes, oldest waiting ms or -1, flat tenants, settling}
-- The oldest is looked for among the first jobs of up to 100 lines of each band.
local oldest = -1
for _, band in ipairs(BANDS) do
  for _, tenant in ipairs(call('ZRANGE', TURNS[band], 0, 99)) do
    local id = call('LINDEX', LINE .. band .. ':' .. tenant, 0)
    local record = id and call('HGET', JOBS, id)
    local waited = record and NOW - struct.unpack('>I6', record, 2)
    if waited and waited > oldest then oldest = waited end
  end
end
return {
  numbers['n:high'], numbers['n:normal'], numbers['n:low'], call('ZCARD', DELAYED), call('ZCARD', LEASE),
  call('ZCARD', DEAD), numbers['jobs'], numbers['bytes'], oldest, call('HGETALL', TENANTS), call('ZCARD', SETTLE),
}
