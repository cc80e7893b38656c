-- Push the end of held leases; only the holder's current attempt counts.
-- ARGV 2 lease ms, then per lease: id, epoch, attempt
-- Returns per lease: 0 lost, 1 held, 2 held and cancel was asked for
local until_ms = NOW + tonumber(ARGV[2])
local answer = {}
for at = 3, #ARGV, 3 do
  local id = ARGV[at]
  local live = call('HMGET', LIVE .. id, 'epoch', 'attempt', 'state', 'cancel')
  if live[1] == ARGV[at + 1] and live[2] == ARGV[at + 2] and is_leased(live[3]) then
    call('ZADD', LEASE, until_ms, id)
    answer[#answer + 1] = live[4] == '1' and 2 or 1
  else
    answer[#answer + 1] = 0
  end
end
return answer
