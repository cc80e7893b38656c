-- Part: what is told of a job.
local EVENTS_CAP = 1000

-- Append one event; returns its number.
local function publish(id, number, kind, data)
  local key = EVENTS .. id
  local entry = string.format('%.0f-0', number)
  local reply = redis.pcall('XADD', key, 'MAXLEN', '~', EVENTS_CAP, entry, 't', kind, 'd', data, 'at', NOW)
  if type(reply) == 'table' and reply.err then
    -- The stream outlived its job (which was queued anew): go on after its last entry.
    local last = call('XREVRANGE', key, '+', '-', 'COUNT', 1)
    number = tonumber(string.match(last[1][1], '^(%d+)')) + 1
    entry = string.format('%.0f-0', number)
    call('XADD', key, 'MAXLEN', '~', EVENTS_CAP, entry, 't', kind, 'd', data, 'at', NOW)
  end
  return number
end

-- Whether somebody is to hear of the job's end.
local function is_heard(stream)
  return stream == '1' or stream == 'end'
end

-- Say a status event; returns its number and what `told` is from now on.
local function tell(id, stream, told, number, kind, data)
  if stream == '1' then return publish(id, number, kind, data), '' end
  return number, string.format('%s%.0f\t%s\t%.0f\t%s\n', told or '', number, kind, NOW, data)
end

-- Keep a stream from now on, beginning with what was told.
local function listen(id, stream, told)
  if stream == '1' then return end
  for number, kind, at, data in string.gmatch(told or '', '(%d+)\t([^\t]*)\t(%d+)\t([^\n]*)\n') do
    call('XADD', EVENTS .. id, number .. '-0', 't', kind, 'd', data, 'at', at)
  end
  call('HSET', LIVE .. id, 'stream', 1, 'told', '')
end
