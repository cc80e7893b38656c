-- Claimed jobs begin to run.
-- ARGV per job: id, epoch, attempt
for at = 2, #ARGV, 3 do
  local key = JOB .. ARGV[at]
  local job = call('HMGET', key, 'epoch', 'attempt', 'state', 'events', 'executor')
  if job[1] == ARGV[at + 1] and job[2] == ARGV[at + 2] and job[3] == 'starting' then
    local number = publish(ARGV[at], tonumber(job[4] or 1) + 1, 'job.running',
      string.format('{"attempt":%s,"executor_id":%s}', job[2], cjson.encode(job[5])))
    call('HSET', key, 'state', 'running', 'started', NOW, 'events', number)
  end
end
return 1
