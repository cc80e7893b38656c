-- uses: admission
-- Say what enqueue.lua would say, and change nothing.
-- ARGV 2 queue_jobs 3 queue_bytes 4 tenant_jobs 5 tenant_bytes (caps; -1 = none) 6 new, then per job: id, tenant, epoch,
--      bytes
-- Returns per job: 1 accepted, 2 duplicate, 3 queue full, 4 tenant full, 5 draining
read_caps()
local answer = {}
for at = 7, #ARGV, 4 do
  local id, tenant, epoch, bytes = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local old = call('HGET', JOBS, id)
  local verdict = 1
  if old then
    if opened(old).epoch >= epoch then verdict = 2 end
  else
    verdict = room(tenant, bytes)
    if verdict == 1 then count(tenant, 1, bytes) end
  end
  answer[#answer + 1] = verdict
end
return answer
