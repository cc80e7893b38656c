-- Claimed jobs begin to run.
-- ARGV per job: id, epoch, attempt
for at = 2, #ARGV, 3 do
  local key = JOB .. ARGV[at]
  local job = call('HMGET', key, 'epoch', 'attempt', 'state', 'events', 'executor', 'stream', 'told')
  if job[1] == ARGV[at + 1] and job[2] == ARGV[at + 2] and job[3] == 'starting' then
    local number, told = tell(ARGV[at], job[6], job[7], tonumber(job[4] or 1) + 1, 'job.running',
      string.format('{"attempt":%s,"executor_id":%s}', job[2], cjson.encode(job[5])))
    call('HSET', key, 'state', 'running', 'started', NOW, 'events', number, 'told', told)
  end
end
return 1
