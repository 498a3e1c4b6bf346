-- SPDX-License-Identifier: MIT
-- What the claim does with limits before it grants: looks at all of them, charges none. A refusal is returned from
-- here. Stands where the claim says `-- include lib_limits`; no function, as in lib.lua.
--
-- Which limits count: all where the request would be forwarded; only those that count every request (EACH) where
-- `reply` says already what becomes of it. A limit that does not count neither refuses nor is charged. A shadow limit
-- never refuses, and is not charged beyond its capacity.
--
-- Token bucket. GCRA, the generic cell rate algorithm (ITU-T I.371, annex A, virtual scheduling): one theoretical
-- arrival time (TAT) for each limit; with tat = max(stored, now) a request passes if
--   tat + increment - now <= capacity;  then stored = tat + increment.
-- Ticks of 100 ns since 2023-01-01 UTC (Unix time 1672531200): whole numbers below 2^53, and fine enough for
-- rates of 70,000/s. A TAT beyond now + most (clock stepped back, smaller capacity configured) is lowered to it, a
-- broken value counts as a full bucket, never an open one. most: the largest capacity of the limit's tiers.
-- A group is a cell for each limit: name I4 (hash of the limit's name), TAT d. One is looked for at its limit's place first.
local CELL, LOAN = 12, 36
local refused, at, n = full, 1, 0
if apart then refused = full or not reply or flags % 8 > 3 end
local names         -- of each limit
local used, charged -- of each limit: used before and after this request (bucket: ticks, window: requests)
local waits         -- of each limit: ticks until it would pass; not positive: it passes
local ttls, ends, broken -- of each group: ttl, number of its last limit, must its value be written?
-- What a plain bucket has not. One empty table until it is needed: a table of its own costs each claim 0.1 us.
local empty
if groups > 0 then -- made with room for the first limit: a table that grows from nothing costs twice
  names, used, charged, waits, ttls, ends, broken, empty = {0}, {0}, {0}, {0}, {0}, {0}, {}, {}
end
local marks, touched = empty, empty -- of limits: kind with marks; of groups: has it a limit that is EACH and charged?
local backs, wides = empty, empty   -- of windows, in ticks: until the newest request has left; the whole
local others = empty                -- of groups: cells of limits that this agent does not have, and behind them the loans
local kept, grown = empty, empty    -- of windows' groups: the value if refused, the value if not ('': as it is)
for g = 1, groups do
  local size
  ttls[g], size, at = unpack('<Bc0B', ARGV[2], at)
  if ttls[g] < '1' then error('spoa-once: ttl_ms of a limit must be positive') end
  local value = try('GET', KEYS[g])
  if size == 1 and byte(ARGV[2], at) % 16 == 2 then
    -- include lib_window
  else
    local loans
    if value and #value % CELL == 1 then
      -- include lib_loans
    end
    if value and (type(value) ~= 'string' or value == '' or #value % CELL ~= 0) then value, broken[g] = nil, true end
    for i = 1, size do
      local kind, name, increment, capacity, most
      kind, name, increment, capacity, most, at = unpack('<BI4ddd', ARGV[2], at)
      local before = 0
      if value then
        local cell, tat
        if #value >= CELL * i then cell, tat = unpack('<I4d', value, CELL * i - 11) end
        if cell ~= name then
          -- include lib_cell
        end
        before = tat - tick
        if not (tat >= 0 and before <= most and tat == floor(tat)) then
          before, broken[g] = most, true
        elseif before < 0 then
          before = 0
        end
        if loans then
          local lent
          -- include lib_floor
        end
      elseif broken[g] then
        before = most
      end
      n = n + 1
      local wait = before + increment - capacity
      names[n] = name
      used[n], charged[n], waits[n] = before, before + increment, wait
      if kind == 1 and increment > 0 and not reply then
        refused = refused or wait > 0
      elseif kind % 16 == 1 then
        -- include lib_marks
      else
        error('spoa-once: unknown kind of limit')
      end
    end
    if value and #value > CELL * size then
      -- include lib_others
    end
    if loans then
      if others == empty then others = {} end
      others[g] = (others[g] or '') .. loans .. string.char(#loans / LOAN)
    end
  end
  ends[g] = n
end

if refused then
  -- A value that was lowered or broken is written back even now, or the refusals would go on until the clock
  -- has caught up. Nothing is charged by that.
  for g in pairs(broken or {}) do
    local cells = {kept[g]}
    for i = (ends[g - 1] or 0) + 1, kept[g] and 0 or ends[g] do
      cells[#cells + 1] = pack('<I4d', names[i], tick + used[i])
    end
    try('SET', KEYS[g], table.concat(cells) .. (others[g] or ''), 'PX', ttls[g])
  end
  local out = {'L', stamp}
  for i = 1, n do
    out[i + 2] = pack('<dd', used[i], waits[i] > 0 and math.ceil(waits[i] / 10) or 0) ..
      (backs[i] and pack('<d', backs[i]) or '')
  end
  return table.concat(out) .. in_use
end
