-- SPDX-License-Identifier: MIT
-- One sliding window, alone in its group: never more than `most` in any interval [t, t + wide). Stands in lib_limits.
--
-- A sliding window log (as by S. Figueroa's "An alternative approach to rate limiting", 2017: the times of all
-- requests that were let in), thinned so that it cannot grow: requests that come within a sixtieth of the window share
-- one entry, which counts as a whole until the last of them has left:
--   used = sum of the counts of all entries with last + wide > now;   a request passes if used + cost <= most.
-- Each request is counted for at least `wide`, so the bound is never exceeded, across no edge; and for at most a
-- sixtieth longer. Requests further apart than that have entries of their own: then it is the exact log.
-- Entries begin at least a sixtieth apart, so at most 61 of them count.
--
-- Value: first d, used I4, then oldest first: last d, count I4. first: when the newest entry began. Ticks as above.
if grown == empty then backs, wides, kept, grown = {}, {}, {}, {} end
local kind, _, wide, most, increment
kind, _, wide, most, increment, at = unpack('<BI4ddd', ARGV[2], at)
local first, before, last, count, from = 0, 0, 0, 0, 13
if value then
  local sound = type(value) == 'string' and #value >= 24 and #value % 12 == 0
  if sound then
    first, before = unpack('<dI4', value)
    last, count = unpack('<dI4', value, #value - 11)
    sound = first >= 0 and first <= last and last < 2 ^ 53
  end
  if not sound then -- full, as with a bucket
    value, broken[g] = pack('<dI4dI4', tick, most, tick, most), true
    first, before, last, count = tick, most, tick, most
  elseif last > tick then -- the clock stepped back: what lies ahead of it was now
    local sum, i = 0, #value - 11
    while i > 12 do
      local ahead, c = unpack('<dI4', value, i)
      if ahead <= tick then break end
      sum, i = sum + c, i - 12
    end
    value, broken[g] = sub(value, 1, i + 11) .. pack('<dI4', tick, sum), true
    first, last, count = tick, tick, sum
  end
  while from < #value do
    local left, c = unpack('<dI4', value, from)
    if not (left + wide <= tick) then break end
    before, from = before - c, from + 12
  end
  if from > #value then before, count = 0, 0 end
end
n = n + 1
local wait = 0
if before + increment > most then
  local over, i = before + increment - most, from
  wait = 1 -- more than ever fits
  while over > 0 and value and i < #value do
    local due, c = unpack('<dI4', value, i)
    wait, over, i = due + wide - tick, over - c, i + 12
  end
end
used[n], charged[n] = before, before + increment
backs[n], wides[n] = count > 0 and last + wide - tick or 0, wide
-- include lib_marks
if broken[g] then kept[g] = pack('<dI4', first, before) .. sub(value, from) end
if charged[n] == before then
  grown[g] = kept[g] or ''
elseif count > 0 and tick - first < math.ceil(wide / 60) then
  grown[g] = pack('<dI4', first, charged[n]) .. sub(value, from, -13) .. pack('<dI4', tick, count + increment)
else
  grown[g] = pack('<dI4', tick, charged[n]) .. (count > 0 and sub(value, from) or '') .. pack('<dI4', tick, increment)
end
