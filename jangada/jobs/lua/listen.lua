-- From now on keep the job's events as a stream, for somebody who listens. ARGV 2 id
-- Returns the ms at which it was enqueued, or -1 for a job that is not here
local job = call('HMGET', JOB .. ARGV[2], 'enqueued', 'stream', 'told')
if not job[1] then return -1 end
listen(ARGV[2], job[2], job[3])
return tonumber(job[1])
