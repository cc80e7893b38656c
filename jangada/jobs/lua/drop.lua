-- Forget jobs, whatever they are doing. ARGV: ids
for at = 2, #ARGV do
  local job = call('HMGET', JOB .. ARGV[at], 'tenant', 'bytes', 'rich', 'stream')
  if job[1] then forget(ARGV[at], job[1], tonumber(job[2]), job[4], job[3]) end
end
flush()
return 1
