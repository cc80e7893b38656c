-- uses: events
-- From now on keep the job's events as a stream, for somebody who listens. ARGV 2 id 3 only_end (1: to its end alone)
-- Returns the ms at which it was enqueued, or -1 for a job that is not here
local record = call('HGET', JOBS, ARGV[2])
if not record then return -1 end
local live = call('HMGET', LIVE .. ARGV[2], 'stream', 'told')
if ARGV[3] ~= '1' then
  listen(ARGV[2], live[1], live[2])
elseif not live[1] or live[1] == '' then
  call('HSET', LIVE .. ARGV[2], 'stream', 'end')
end
return (struct.unpack('>I6', record, 2))
