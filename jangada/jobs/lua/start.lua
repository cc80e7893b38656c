-- uses: events
-- Claimed jobs begin to run.
-- ARGV per job: id, epoch, attempt
for at = 2, #ARGV, 3 do
  local key = LIVE .. ARGV[at]
  local live = call('HMGET', key, 'epoch', 'attempt', 'state', 'events', 'executor', 'stream', 'told')
  if live[1] == ARGV[at + 1] and live[2] == ARGV[at + 2] and live[3] == 'starting' then
    local number, told = tell(ARGV[at], live[6], live[7], tonumber(live[4] or 1) + 1, 'job.running',
      string.format('{"attempt":%s,"executor_id":%s}', live[2], cjson.encode(live[5])))
    call('HSET', key, 'state', 'running', 'started', NOW, 'events', number, 'told', told)
  end
end
return 1
