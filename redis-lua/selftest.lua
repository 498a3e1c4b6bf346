-- SPDX-License-Identifier: MIT
-- selftest: may Redis' user do all that the scripts, and the agent's own commands on the same keys, will do?
-- Guarantee: every command that another file here calls is tried (tools/check-commands sees to it); nothing that was
-- there is changed, and nothing is left.
-- KEYS: one like a record's, one like a pending one, one like a slot's, the mark (untouched: Redis tries the right to
--   its KEYS itself)
-- ARGV: what this Redis is to hold, a sum: 1 locks and records, 2 cached answers
-- Reply: OK, or the first command that is refused, a blank, and why in Redis' words.
--
-- A missing right and an unknown command are ERR or NOPERM. OOM, READONLY, MISCONF, NOREPLICAS are no answer to the
-- question: Redis looks at rights first. No shebang, because with one such a state refuses the whole script, untried.
local record, pending, slot = KEYS[1], KEYS[2], KEYS[3]
local holds = tonumber(ARGV[1])
local refused

local function may(command, ...)
  local r = not refused and try(command, ...)
  if type(r) ~= 'table' or not r.err then return end
  -- What a SET did not make (OOM) cannot be renamed: permitted all the same.
  local right = string.find(r.err, '^ERR') or string.find(r.err, '^NOPERM')
  if right and not string.find(r.err, 'no such key', 1, true) then refused = command .. ' ' .. r.err end
end

may('TIME')
may('SET', pending, 'x', 'PX', '60000')
may('GET', pending)
may('PTTL', pending)
may('GETRANGE', record, '0', '1')
may('PUBLISH', 'once:w:' .. sub(record, -32), '')
if band(holds, 2) ~= 0 then may('MGET', pending, record) end
if band(holds, 1) ~= 0 then may('SETRANGE', pending, '0', 'y') end
may('PEXPIRE', pending, '60000')
may('PEXPIRE', pending, '60000', 'GT')
if band(holds, 1) ~= 0 then
  may('STRLEN', record)
  may('EXISTS', record)
  may('ZADD', slot, '1', 'x')
  may('ZADD', slot, 'LT', '0', 'x')
  may('PEXPIRE', slot, '60000')
  may('ZCOUNT', slot, '-inf', '+inf')
  may('ZRANGE', slot, '-inf', '+inf', 'BYSCORE')
  may('ZREM', slot, 'y')
  may('ZREMRANGEBYSCORE', slot, '-inf', '(0')
  may('SCAN', '0', 'COUNT', '1')
end
may('RENAME', pending, record)
may('UNLINK', pending)
try('UNLINK', record, slot) -- tried above; where it is refused, the TTL does it
return refused or 'OK'
