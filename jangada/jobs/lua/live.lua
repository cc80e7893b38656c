-- What is live about jobs. ARGV: ids
-- Returns per job {} or {state, attempt, progress, detail, executor, claimed, started, cancel} ('' = none)
local answer = {}
for at = 2, #ARGV do
  local row = {}
  if call('HEXISTS', JOBS, ARGV[at]) == 1 then
    local live = call('HMGET', LIVE .. ARGV[at], 'state', 'attempt', 'progress', 'detail', 'executor', 'claimed', 'started',
      'cancel')
    for field = 1, 8 do
      row[field] = live[field] or ''
    end
  end
  answer[#answer + 1] = row
end
return answer
