-- SPDX-License-Identifier: MIT
-- What is written of the limits, as lib_limits has worked it out: behind a grant's first write; for a request that is
-- not forwarded only the groups with a limit that counts it, and what Redis does not take (OOM) is not counted.
-- Adds to `levels`, what the reply says of each limit.
for g = 1, groups do
  local cells = grown[g] or ''
  for i = (ends[g - 1] or 0) + 1, ends[g] do
    if not grown[g] then cells = cells .. pack('<I4d', names[i], tick + charged[i]) end
    levels = levels .. pack('<d', charged[i])
    if marks[i] then
      if band(marks[i], SHADOW) ~= 0 then
        levels = levels .. pack('<d', waits[i] > 0 and math.ceil(waits[i] / 10) or 0)
      end
      if backs[i] then levels = levels .. pack('<d', charged[i] > used[i] and wides[i] or backs[i]) end
    end
  end
  if others[g] then cells = cells .. others[g] end
  if not reply and cells ~= '' then
    call('SET', KEYS[g], cells, 'PX', ttls[g])
  elseif touched[g] and cells ~= '' then
    try('SET', KEYS[g], cells, 'PX', ttls[g])
  end
end
