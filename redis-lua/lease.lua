-- SPDX-License-Identifier: MIT
-- lease: who fetches the answer that is missing? One at a time, for the life of a lease.
-- Guarantee: what is returned was read in the same moment in which the lease was taken or found; the time is Redis' own, before the
-- request can have been forwarded.
-- KEYS: entry, url, policy, fill, then a key for each tag   ARGV: id of the lease (8 bytes), its ms
-- Reply: L taken or B not, and Redis' time in us (I8); then the values of all KEYS as they were before
--
-- No shebang: when Redis is full the lease is refused, and nothing else is done (docs/wire.md, Cache).
local t = call('TIME')
local said = call('MGET', _G.unpack(KEYS))
local letter = 'B'
if not said[4] and not try('SET', KEYS[4], ARGV[1], 'PX', ARGV[2]).err then letter = 'L' end
table.insert(said, 1, letter .. pack('<I8', t[1] * 1000000 + t[2]))
return said
