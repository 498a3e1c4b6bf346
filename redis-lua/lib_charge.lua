-- SPDX-License-Identifier: MIT
-- What a grant writes of its limits, behind its first write: what lib_limits has worked out. Makes `levels`.
local levels = ''
for g = 1, groups do
  local cells = ''
  for i = (ends[g - 1] or 0) + 1, ends[g] do
    cells = cells .. pack('<d', tick + charged[i])
    levels = levels .. pack('<d', charged[i])
  end
  call('SET', KEYS[g], cells, 'PX', ttls[g])
end
