-- uses: events
-- Append events of a running attempt.
-- ARGV 2 id 3 epoch 4 attempt, then per event: type, data (JSON), progress ('' = none), detail ('' = none)
-- Returns 1, or 0 when the attempt is not the current one
local id = ARGV[2]
local key = LIVE .. id
local live = call('HMGET', key, 'epoch', 'attempt', 'state', 'events', 'stream', 'told')
if live[1] ~= ARGV[3] or live[2] ~= ARGV[4] or not (live[3] == 'running' or live[3] == 'starting') then return 0 end
listen(id, live[5], live[6])
local number = tonumber(live[4] or 1)
for at = 5, #ARGV, 4 do
  number = publish(id, number + 1, ARGV[at], ARGV[at + 1])
  if ARGV[at + 2] ~= '' then call('HSET', key, 'progress', ARGV[at + 2]) end
  if ARGV[at + 3] ~= '' then call('HSET', key, 'detail', ARGV[at + 3]) end
end
call('HSET', key, 'events', number, 'rich', 1)
return 1
