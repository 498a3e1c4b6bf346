-- SPDX-License-Identifier: MIT
-- What the scripts share: names. Put in front of every script when it is embedded (docs/wire.md, Scripts).
-- No function stands here: each call of a script makes its functions anew (0.2 us each and more), and a claim of a
-- new key needs none. lib_record.lua has them, for those that include it.
--
-- The record, offsets from 0, integers little-endian:
--   0       1     2     3   4     12  20          28      32    36     38          54     58  66 67
--   version state flags why fence rid lease_until lock_ms ttl_s status fingerprint policy who np process, payload
--                           `- owner -'                                            `- whose -'
-- Where flags has SLOTS, between process and payload: how many, and of each limit that it holds a slot of, the 18
-- bytes (TAG, digest) of the name of its sorted set.
-- The token (version in the upper half of its first byte, flags in the lower):
--   0        1   3             19    27  35          39     43
--   ver|flags TAG record digest fence rid fingerprint policy ttl
--
-- Numbers go to redis.call as strings: Redis 7.0 prints a Lua number by %.17g. Fences stay bytes
-- wherever they are only compared, because a Lua number is exact up to 2^53 only.
local call, try = redis.call, redis.pcall
local pack, unpack = struct.pack, struct.unpack
local sub, byte, format, floor = string.sub, string.byte, string.format, math.floor
local band = bit.band

local VERSION = 1
local HEAD, HEAD_LEN = '<Bc1Bc1c16I8I4I4I2c16c12B', 67
-- Last byte that is read of a record: a body must not pass through Lua. All other records are shorter, because
-- the agent leaves out a Location beyond 2048 bytes.
local WINDOW = '4095'
local NUL, BEYOND_EXACT = '\0', 2 ^ 53 - 1

local FREE, RUNNING, ANSWERED, HELD, DONE, TOMB = 'F', 'R', 'A', 'H', 'D', 'T'
local NONE, OTHER, FOREIGN = 'none', 'other', 'foreign' -- the columns that are no states
local FLAGS_AT, LEASE_AT = '2', '20'
-- A claim stays its owner's for so much of a lock after its lease: a heartbeat, lock / GRACE.
local GRACE = 3
local HOLD, LAPSE, PARTIAL, WAITERS, SLOTS, BARE = 1, 2, 4, 8, 16, 32
local TOKEN_BARE = 2 -- among the token's flags
