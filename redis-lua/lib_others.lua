-- SPDX-License-Identifier: MIT
-- Behind the cells of this agent's limits are others' of the same subject: a limit was taken away, or an agent with another
-- configuration has it still. What is used of them is kept for as long as it is used: an agent that has not been
-- reloaded yet must not find its limits empty after each request of one that has. At most 8 of them, and none beyond 2^45 ticks
-- (40 days), which no limit needs. Stands in lib_limits, behind a group's last limit.
local rest, longest = '', 0
for from = CELL * size + 1, #value, CELL do
  local left = unpack('<d', value, from + 4) - tick
  if left > 0 and left <= 2 ^ 45 and #rest < 8 * CELL then
    rest, longest = rest .. sub(value, from, from + 11), math.max(longest, left)
  end
end
if others == empty then others = {} end
others[g] = rest
ttls[g] = format('%.0f', math.max(tonumber(ttls[g]), math.ceil(longest / 10000) + 60000))
