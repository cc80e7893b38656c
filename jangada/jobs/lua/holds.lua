-- Whether the queue holds jobs. ARGV: ids. Returns per job 1 or 0
local answer = {}
for at = 2, #ARGV do
  answer[#answer + 1] = call('HEXISTS', JOBS, ARGV[at])
end
return answer
