-- Part: the order of claims (needs lines).

-- The jobs of a band in the order in which they are claimed: next_ready() only reads, take_ready() takes out what it
-- passed. A job that waits there no more (canceled, expired) is passed over and costs its tenant no turn.
local function begin_band(band, most)
  local rows = call('ZRANGE', TURNS[band], 0, most - 1, 'WITHSCORES')
  local walk = { band = band, most = most, turns = {}, touched = {}, stale = 0 }
  for at = 1, #rows, 2 do
    walk.turns[#walk.turns + 1] = { tenant = rows[at], tag = tonumber(rows[at + 1]), passed = 0, at = 0, ids = {},
      key = LINE .. band .. ':' .. rows[at] }
  end
  return walk
end

local function next_ready(walk)
  while walk.stale < 1000 do
    local turn = walk.turns[1]
    if not turn then return nil end
    if turn.at == #turn.ids then
      turn.asked = walk.most + 1
      turn.ids = call('LRANGE', turn.key, turn.passed, turn.passed + walk.most)
      turn.at = 0
    end
    if #turn.ids == 0 then
      table.remove(walk.turns, 1)
    else
      if turn.passed == 0 then walk.touched[#walk.touched + 1] = turn end
      turn.at, turn.passed = turn.at + 1, turn.passed + 1
      local id = turn.ids[turn.at]
      local record = call('HGET', JOBS, id)
      if record then
        local live = call('HMGET', LIVE .. id, 'state', 'attempt', 'history', 'events', 'stream', 'told')
        local letter = string.sub(record, 1, 1)
        if BAND[letter] == walk.band and (live[1] == 'queued' or not live[1] and letter == LETTER[walk.band]) then
          return id, opened(record), live, record, turn
        end
      end
      walk.stale = walk.stale + 1
    end
  end
end

-- The job that next_ready gave has its turn: its tenant's next one starts later.
local function pass_turn(walk, turn, weight)
  if turn.tenant == FRONT then return end
  turn.tag = turn.tag + 1 / weight
  local turns = walk.turns
  local at = 1
  while turns[at + 1] and (turns[at + 1].tag < turn.tag
    or turns[at + 1].tag == turn.tag and turns[at + 1].tenant < turn.tenant) do
    turns[at] = turns[at + 1]
    at = at + 1
  end
  turns[at] = turn
end

local function take_ready(walk)
  for _, turn in ipairs(walk.touched) do
    if turn.passed == 1 then
      call('LPOP', turn.key)
    else
      call('LTRIM', turn.key, turn.passed, -1)
    end
    if turn.at < #turn.ids or #turn.ids == turn.asked and call('EXISTS', turn.key) == 1 then
      if turn.tenant ~= FRONT then call('ZADD', TURNS[walk.band], turn.tag, turn.tenant) end
    else
      close_line(walk.band, turn.tenant, turn.tag)
    end
  end
  if walk.stale > 0 then add('stale', -walk.stale) end
end
