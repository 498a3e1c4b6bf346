-- SPDX-License-Identifier: MIT
-- lease: who fetches the answer that is missing? One at a time, for the life of a lease.
-- Guarantee: what is returned was read in the same moment in which the lease was taken or found; the time is Redis' own, before the
-- request can have been forwarded. Who has the lease has the URL's state beside it, which outlives the lease: purges are written there.
-- KEYS: entry, url, policy, fill, then a key for each tag   ARGV: id of the lease (8 bytes), its ms
-- Reply: L taken or B not, and Redis' time in us (I8); then the values of all KEYS as they were before
--
-- No shebang: when Redis is full the lease is refused, and nothing else is done (docs/wire.md, Cache).
local t = call('TIME')
local now = t[1] * 1000000 + t[2]
local said = call('MGET', _G.unpack(KEYS))
local letter = 'B'
-- An answer may come that long behind the end of its lease (ms), and be stored. KNOWN: the last byte of a time at which nothing was purged.
-- ENDED: length of what tells those who wait for a lease how it ended (filled.lua, x); it keeps nobody from fetching.
local LATE, TIME, KNOWN, ENDED = 60000, 8, '\128', 9

-- The lease first: behind a write a full Redis refuses no other one.
local free = not said[4] or #said[4] == ENDED
if free and not try('SET', KEYS[4], ARGV[1], 'PX', ARGV[2]).err then
  letter = 'L'
  local ms = format('%.0f', ARGV[2] + LATE)
  if said[2] and #said[2] >= TIME then
    try('PEXPIRE', KEYS[2], ms, 'GT')
  else -- what was asked for before now does not count: a purge may have found nothing to write to
    try('SET', KEYS[2], sub(pack('<I8', now - 1), 1, TIME - 1) .. KNOWN, 'PX', ms)
  end
end
table.insert(said, 1, letter .. pack('<I8', now))
return said
