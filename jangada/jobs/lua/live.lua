-- What is live about jobs. ARGV: ids
-- Returns per job {} or {state, attempt, progress, detail, executor, claimed, started, cancel} ('' = none)
local answer = {}
for at = 2, #ARGV do
  local job = call('HMGET', JOB .. ARGV[at], 'tenant', 'state', 'attempt', 'progress', 'detail', 'executor', 'claimed',
    'started', 'cancel')
  local row = {}
  if job[1] then
    for field = 2, 9 do
      row[field - 1] = job[field] or ''
    end
  end
  answer[#answer + 1] = row
end
return answer
