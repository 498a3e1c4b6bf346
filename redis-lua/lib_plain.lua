-- SPDX-License-Identifier: MIT
-- Nearly always there is one limit: a token bucket without marks, its value as this agent wrote it or not there, and the request
-- passes. Stands before lib_limits, which does the same for it as for all others, with tables that cost a tenth of a claim.
-- Makes `levels`, what the reply says of each limit, and `cell`, what a grant writes for `cell_ttl`; no group is left then.
local CELL = 12
local tick = (now - 1672531200000000) * 10
local levels, cell, cell_ttl = '', nil, nil
if groups == 1 and slots == 0 and not reply and not apart then
  local ttl, size, kind, name, increment, capacity = unpack('<Bc0BBI4dd', ARGV[2])
  local value -- false: there is none
  if size == 1 and kind == 1 and increment > 0 and ttl >= '1' then value = try('GET', KEYS[1]) end
  local before = value == false and 0
  if type(value) == 'string' and #value == CELL then
    local of, tat = unpack('<I4d', value)
    before = of == name and tat >= 0 and tat == floor(tat) and math.max(tat - tick, 0)
  end
  if before and before + increment <= capacity then
    cell, levels = pack('<I4d', name, tick + before + increment), pack('<d', before + increment)
    cell_ttl, groups = ttl, 0
  end
end
