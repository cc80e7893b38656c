-- uses: lines walk
-- The jobs that would be claimed next. ARGV 2 limit
-- Returns per job {id, tenant, band, waiting ms, attempts}
local answer = {}
local limit = tonumber(ARGV[2])
for _, band in ipairs(BANDS) do
  if #answer < limit then
    local walk = begin_band(band, limit - #answer)
    while #answer < limit do
      local id, job, live, _, turn = next_ready(walk)
      if not id then break end
      answer[#answer + 1] = { id, job.tenant, band, NOW - job.enqueued, tonumber(live[2] or 0) }
      pass_turn(walk, turn, job.weight)
    end
  end
end
return answer
