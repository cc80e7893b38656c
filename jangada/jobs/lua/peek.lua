-- The jobs that would be claimed next. ARGV 2 limit
-- Returns per job {id, tenant, band, waiting ms, attempts}
local answer = {}
local limit = tonumber(ARGV[2])
for _, band in ipairs(BANDS) do
  if #answer < limit then
    for _, id in ipairs(call('ZRANGE', READY[band], 0, limit - #answer - 1)) do
      local job = call('HMGET', JOB .. id, 'tenant', 'enqueued', 'attempt')
      answer[#answer + 1] = { id, job[1], band, NOW - tonumber(job[2]), tonumber(job[3] or 0) }
    end
  end
end
return answer
