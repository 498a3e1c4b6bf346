-- SPDX-License-Identifier: MIT
-- What the claim does with limits before it grants: looks at all of them, charges none. A refusal is returned from
-- here. Stands where the claim says `-- include lib_limits`; no function, as in lib.lua.
--
-- GCRA, the generic cell rate algorithm (ITU-T I.371, annex A, virtual scheduling): one theoretical
-- arrival time (TAT) for each limit; with tat = max(stored, now) a request passes if
--   tat + increment - now <= capacity;  then stored = tat + increment.
-- Ticks of 100 ns since 2023-01-01 UTC (Unix time 1672531200): whole numbers below 2^53, and fine enough for
-- rates of 70,000/s. A TAT beyond now + capacity (clock stepped back, smaller capacity configured) is lowered
-- to it, a broken value counts as that: a full bucket, never an open one.
local tick = (now - 1672531200000000) * 10
local refused, at, n = full, 1, 0
local used, charged = {}, {} -- of each limit: ticks used before and after this request
local waits = {}             -- of each limit: ticks until it would pass; not positive: it passes
local ttls, ends, broken = {}, {}, {} -- of each group: ttl, number of its last limit, is its value unusable?
for g = 1, groups do
  local ttl_ms, size
  ttl_ms, size, at = unpack('<I4B', ARGV[2], at)
  if ttl_ms < 1 then error('spoa-once: ttl_ms of a limit must be positive') end
  local value = try('GET', KEYS[g])
  if value and (type(value) ~= 'string' or value == '' or #value % 8 ~= 0) then value, broken[g] = nil, true end
  for i = 1, size do
    local kind, increment, capacity, _
    kind, increment, capacity, _, at = unpack('<Bddd', ARGV[2], at)
    if kind ~= 1 then error('spoa-once: unknown kind of limit') end
    local before = 0
    if value and #value >= 8 * i then -- a shorter group: this limit is new, nothing is used of it
      local tat = unpack('<d', value, 8 * i - 7)
      before = tat - tick
      if not (tat >= 0 and before <= capacity and tat == floor(tat)) then
        before, broken[g] = capacity, true
      elseif before < 0 then
        before = 0
      end
    elseif broken[g] and not value then
      before = capacity
    end
    n = n + 1
    used[n], charged[n], waits[n] = before, before + increment, before + increment - capacity
    refused = refused or waits[n] > 0
  end
  ttls[g], ends[g] = format('%.0f', ttl_ms), n
end

if refused then
  -- A value that was lowered or broken is written back even now, or the refusals would go on until the clock
  -- has caught up. Nothing is charged by that.
  for g in pairs(broken) do
    local cells = {}
    for i = (ends[g - 1] or 0) + 1, ends[g] do
      cells[#cells + 1] = pack('<d', tick + used[i])
    end
    try('SET', KEYS[g], table.concat(cells), 'PX', ttls[g])
  end
  local out = {'L', stamp}
  for i = 1, n do
    out[i + 2] = pack('<dd', waits[i] > 0 and math.ceil(waits[i] / 10) or 0, used[i])
  end
  return table.concat(out) .. in_use
end
