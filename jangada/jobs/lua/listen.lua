-- uses: events
-- From now on keep the job's events as a stream, for somebody who listens. ARGV 2 id
-- Returns the ms at which it was enqueued, or -1 for a job that is not here
local record = call('HGET', JOBS, ARGV[2])
if not record then return -1 end
local live = call('HMGET', LIVE .. ARGV[2], 'stream', 'told')
listen(ARGV[2], live[1], live[2])
return (struct.unpack('>I6', record, 2))
