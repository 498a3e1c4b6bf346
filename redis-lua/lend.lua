#!lua
-- SPDX-License-Identifier: MIT
-- lend: an agent takes tokens of one token bucket, for requests that wait for them or to spend them without asking, and
-- gives back what it has not spent.
-- Guarantee: in every interval at most burst + rate * interval tokens are spent, at any number of agents (lib_floor has
-- the proof); a loan is closed once, however often its agent says so; past its deadline nothing is done.
-- KEYS: the limits group
-- ARGV[1] (packed): deadline d (Redis us, 0 none), agent c8, name I4 (of the limit), increment d, capacity d, most d (ticks, as in
--   a claim), how long the group stays I4 (ms), how long a loan lasts I4 (ms, at most 30000), number I4, wanted I4 (tokens, to
--   spend later), needed I4 (tokens, for requests that wait), n I1, n times: number I4, tokens I4: that loan ends now, and so
--   many of its tokens were not spent; wanted 0 and needed 0: only give back
-- Reply: S, now d (us), lent I4 (tokens), ends d (us), level d (ticks used now), on loan d (ticks, of all agents), closed I1: how
--   many of the n were open
--   P now d: past the deadline     X now d: the value is none of ours; untouched, the next claim puts it right (but where
--   requests wait: then it becomes a full bucket, as by a claim)
--
-- A loan that has ended by Redis' clock cannot be given back any more: it counts as spent. To spend later no agent takes more
-- than half of what is there, and all of them together have at most half of the burst: so the rest is there for who has no
-- loan, and a busy bucket refills at its full rate, because what is used of it is more than what is on loan. What requests wait
-- for they get to the last token: it is spent or given back as soon as their gate has answered.
local CELL, LOAN, LOANS, LOANS_OF_ALL = 12, 36, 32, 128
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local stamp = pack('<d', now)
local tick = (now - 1672531200000000) * 10
local deadline, agent, mine, increment, capacity, most, stay_ms, lasts_ms, number, wanted, needed, backs, at =
  unpack('<dc8I4dddI4I4I4I4I4B', ARGV[1])
if deadline > 0 and now > deadline then return 'P' .. stamp end
if not (increment >= 1 and capacity >= increment and most >= capacity and lasts_ms > 0 and lasts_ms <= 30000 and stay_ms >= 60000) then
  error('spoa-once: a loan of these numbers cannot be made')
end

local value, loans = try('GET', KEYS[1]), nil
-- A value that is lowered or mended is written, or refusals would go on until the clock has caught up.
local g, broken = 1, {}
if value and #value % CELL == 1 then
  -- include lib_loans
end
if value and (type(value) ~= 'string' or value == '' or #value % CELL ~= 0) then
  if needed == 0 then return 'X' .. stamp end
  value, loans, broken[g] = pack('<I4d', mine, tick + most), nil, true
end

-- Of each limit in the group: its TAT. A loan keeps a cell that a claim has left out as unused.
local names, tats = {}, {}
local function found(name, tat)
  if not tats[name] then names[#names + 1] = name end
  tats[name] = tats[name] or tat
end
for from = 1, value and #value or 0, CELL do
  local name, tat = unpack('<I4d', value, from)
  found(name, tat)
end
loans = loans or ''
for from = 1, #loans, LOAN do
  local name = unpack('<I4', loans, from)
  found(name, 0)
end
found(mine, 0)

-- What is used of each now. So the loans that are over are in it, and may go.
local levels, on, longest, at_mine = {}, 0, 0, 1
for i = 1, #names do
  local name, lent = names[i], 0
  local tat = tats[name]
  local before = tat - tick
  if name == mine and not (tat >= 0 and before <= most and tat == floor(tat)) then before, broken[g] = most, true end
  if before < 0 then before = 0 end
  -- include lib_floor
  levels[i] = before
  if name == mine then
    on, at_mine = lent, i
  elseif before > longest and before <= 2 ^ 45 then
    longest = before
  end
end

local given = {}
for i = 1, backs do
  local of, tokens
  of, tokens, at = unpack('<I4I4', ARGV[1], at)
  given[of] = tokens
end
local open, closed, mine_already, used = {}, 0, false, levels[at_mine]
for from = 1, #loans, LOAN do
  local of, whose, its, tokens, each, ends = unpack('<I4c8I4I4dd', loans, from)
  local own = of == mine and whose == agent
  if own and given[its] and ends > tick then
    used, on, closed = used - math.min(given[its], tokens) * each, on - tokens * each, closed + 1
  elseif ends > tick then
    open[#open + 1] = sub(loans, from, from + LOAN - 1)
    mine_already = mine_already or own and its == number
  end
end
used = math.max(used, on)

local lent, ends = 0, tick + lasts_ms * 10000
if not mine_already then
  local free, share = floor((capacity - used) / increment), floor((capacity / 2 - on) / increment)
  if wanted > 0 and #open < LOANS then lent = math.max(math.min(wanted, math.ceil(free / 2), share), 0) end
  if #open < LOANS_OF_ALL then lent = math.max(lent, math.min(needed, free)) end
end
if lent > 0 then
  local place = #open + 1
  while place > 1 and unpack('<d', open[place - 1], 29) > ends do place = place - 1 end
  table.insert(open, place, pack('<I4c8I4I4dd', mine, agent, number, lent, increment, ends))
  used, on = used + lent * increment, on + lent * increment
end
if lent > 0 or closed > 0 or broken[g] then
  local out = {}
  levels[at_mine] = used
  for i = 1, #names do
    if i == at_mine or not (levels[i] <= 0) then out[#out + 1] = pack('<I4d', names[i], tick + levels[i]) end
  end
  if #open > 0 then out[#out + 1] = table.concat(open) .. string.char(#open) end
  call('SET', KEYS[1], table.concat(out), 'PX', format('%.0f', math.max(stay_ms, math.ceil(longest / 10000) + 60000)))
end
return 'S' .. stamp .. pack('<I4dddB', lent, ends / 10 + 1672531200000000, used, on, closed)
