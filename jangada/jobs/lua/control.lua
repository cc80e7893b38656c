-- Hold a queue up, or let it go.
-- ARGV 2 paused 3 draining ('1', '0', '' = as it is) 4 rate ('' = as it is, '0' = none) 5 burst
-- Returns {paused, draining, rate or '', burst}
for at, field in ipairs({ 'paused', 'draining' }) do
  if ARGV[at + 1] == '1' then
    call('HSET', NUMBERS, field, 1)
  elseif ARGV[at + 1] == '0' then
    call('HDEL', NUMBERS, field)
  end
end
if ARGV[4] == '0' then
  call('HDEL', NUMBERS, 'rate', 'burst', 'tokens', 'at')
elseif ARGV[4] ~= '' then
  call('HSET', NUMBERS, 'rate', ARGV[4], 'burst', ARGV[5], 'tokens', ARGV[5], 'at', NOW)
end
if ARGV[2] == '0' then ring(BELL_CAP) end
local now = call('HMGET', NUMBERS, 'paused', 'draining', 'rate', 'burst')
return { now[1] and 1 or 0, now[2] and 1 or 0, now[3] or '', tonumber(now[4] or 0) }
