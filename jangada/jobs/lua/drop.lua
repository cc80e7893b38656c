-- uses: lines forget
-- Forget jobs, whatever they are doing. ARGV: ids
for at = 2, #ARGV do
  drop(ARGV[at])
end
flush()
return 1
