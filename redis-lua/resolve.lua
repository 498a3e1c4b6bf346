#!lua flags=allow-oom
-- SPDX-License-Identifier: MIT
-- resolve: HAProxy lists the execution as ended and nobody has settled it.
-- Guarantee: no answer seen: free, or held under `hold`; an answer seen: never run again, but where its status
-- says so.
-- KEYS: record   ARGV: token, status (0 no answer seen), ttl_s, class of the status: 'T', 'F' or 'H'
-- Reply: S, N nothing to do, X foreign. Never L: another owner means that there is nothing to resolve.
-- include lib_record
local status, ttl_s = count(ARGV[2], 0, 65535), ttl_seconds(ARGV[3])
local at, r = column(KEYS[1], ARGV[1], ttl_s)
if at == FOREIGN then return 'X' end

-- The columns that are in neither table (another owner, DONE, TOMB) have nothing to resolve.
local hold = has(r.flags, HOLD)
local ended_without = { -- resolve(0)
  [RUNNING] = hold and HELD or FREE,
  [ANSWERED] = TOMB, -- with the status and Location that were seen
  [NONE] = hold and HELD or nil,
}
local by_class = ARGV[4] == 'F' and FREE or ARGV[4] == 'H' and (hold and HELD or FREE) or TOMB
local ended_with = { -- resolve(status)
  [RUNNING] = by_class,
  [ANSWERED] = by_class,
  [HELD] = by_class,
  -- Freed before its answer was known of: never again, unless the policy lets this status be tried again.
  [FREE] = r.why ~= 'n' and r.why ~= 'c' and by_class ~= FREE and TOMB or nil,
  [NONE] = TOMB,
}
local state = (status == 0 and ended_without or ended_with)[at]
if not state then return 'N' end
if status > 0 then r.status = status end
move(KEYS[1], r, state, state ~= TOMB and (status == 0 and '0' or 's') or NUL)
return 'S'
