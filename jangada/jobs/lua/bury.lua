-- Remember jobs that failed for good; the oldest fall off. ARGV 2 cap, then ids
for at = 3, #ARGV do
  call('ZADD', DEAD, NOW, ARGV[at])
end
call('ZREMRANGEBYRANK', DEAD, 0, -tonumber(ARGV[2]) - 1)
return 1
