-- SPDX-License-Identifier: MIT
-- What the scripts share: the record, the token, the columns of PROTOCOL's table of words.
-- Put in front of every script when it is embedded (docs/wire.md, Scripts).
--
-- The record, offsets from 0, integers little-endian:
--   0       1     2     3   4     12  20          28      32    36     38          54 55
--   version state flags why fence rid lease_until lock_ms ttl_s status fingerprint np process, payload
--                           `- owner -'
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
local HEAD, HEAD_LEN = '<Bc1Bc1c16I8I4I4I2c16B', 55
-- Last byte that is read of a record: a body must not pass through Lua. All other records are shorter, because
-- the agent leaves out a Location beyond 2048 bytes.
local WINDOW = '4095'
local NUL, BEYOND_EXACT = '\0', 2 ^ 53 - 1

local FREE, RUNNING, ANSWERED, HELD, DONE, TOMB = 'F', 'R', 'A', 'H', 'D', 'T'
local NONE, OTHER, FOREIGN = 'none', 'other', 'foreign' -- the columns that are no states
local HOLD, LAPSE, PARTIAL, WAITERS = 1, 2, 4, 8

local function has(flags, flag)
  return band(flags, flag) ~= 0
end

local function now_us()
  local t = call('TIME')
  return t[1] * 1000000 + t[2]
end

-- A count from ARGV. Checked before the first write: an error later would leave half of a script done.
local function count(text, least, most)
  local n = tonumber(text)
  if not n or n < least or n > most or n ~= floor(n) then
    error('spoa-once: bad number ' .. tostring(text))
  end
  return n
end

local function ttl_seconds(text)
  return count(text, 1, 4294967295)
end

-- The record under a key; nil: the key is empty or an empty string; false: another type of value, an
-- unknown version, or no shape of ours: nobody may touch that.
local function open(key)
  local raw = try('GETRANGE', key, '0', WINDOW)
  if raw == '' then return nil end
  if type(raw) ~= 'string' then return false, NUL end
  if #raw < HEAD_LEN or byte(raw) ~= VERSION then return false, sub(raw, 1, 1) end
  local r, np, _ = {raw = raw}, nil, nil
  _, r.state, r.flags, r.why, r.owner, r.lease, r.lock_ms, r.ttl_s, r.status, r.print, np = unpack(HEAD, raw)
  r.fence = unpack('<I8', r.owner)
  if not string.find('FRAHDT', r.state, 1, true) or r.fence >= BEYOND_EXACT or #raw < HEAD_LEN + np then
    return false, sub(raw, 1, 1)
  end
  r.process = sub(raw, HEAD_LEN + 1, HEAD_LEN + np)
  r.payload = sub(raw, HEAD_LEN + np + 1)
  return r
end

local function head(r)
  return pack(HEAD, VERSION, r.state, r.flags, r.why, r.owner, r.lease, r.lock_ms, r.ttl_s, r.status, r.print,
    #r.process)
end

-- How long a record stays, in ms. While something may run, at least until its lease has lapsed and the
-- grace after it (a heartbeat, a third of the lock) is over: an expired record would be a granted one.
local function running_ms(lock_ms)
  return lock_ms + 2 * floor(lock_ms / 3)
end

local function stay_ms(r)
  local ms = r.ttl_s * 1000
  if r.state == RUNNING or r.state == ANSWERED then ms = math.max(ms, running_ms(r.lock_ms)) end
  return format('%.0f', ms)
end

-- Changes a record (not yet in Redis) to another state. True: waiters must be told, because nothing may
-- run any more. The flags that go with a state end with it; `hold` was the policy at the claim and stays.
local function turn(r, state, why, lapse)
  local live = state == RUNNING or state == ANSWERED
  local tell = has(r.flags, WAITERS) and not live
  r.state, r.why = state, why
  r.flags = band(r.flags, HOLD + PARTIAL + (live and WAITERS or 0)) + (lapse and LAPSE or 0)
  if state ~= ANSWERED and state ~= TOMB then r.payload = '' end
  if state == DONE or state == TOMB then r.process = '' end
  if not live then r.lease = 0 end
  return tell
end

local function tell_waiters(key, state)
  call('PUBLISH', 'once:w:' .. sub(key, -32), state)
end

-- The same, written: the record's TTL begins anew with every state.
local function move(key, r, state, why, lapse)
  local tell = turn(r, state, why or NUL, lapse)
  call('SET', key, head(r) .. r.process .. r.payload, 'PX', stay_ms(r))
  if tell then tell_waiters(key, state) end
end

-- The record as far as a token knows it: a piece of the fingerprint, no process. Not written.
local function rebuild(token, ttl_s)
  local code = byte(token, 44)
  local lock_s = math.max(1, code % 32 * 2 ^ floor(code / 32))
  return {state = NONE, flags = band(byte(token), HOLD) + PARTIAL, why = NUL, owner = sub(token, 20, 35),
    lease = 0, lock_ms = lock_s * 1000, ttl_s = ttl_s, status = 0,
    print = sub(token, 36, 39) .. string.rep(NUL, 12), process = '', payload = ''}
end

-- Which column of the table of words the record is in, seen from a token, and the record.
local function column(key, token, ttl_s)
  if #token ~= 44 or floor(byte(token) / 16) ~= VERSION then return FOREIGN end
  local r = open(key)
  if r == false or (r == nil and call('EXISTS', key) == 1) then return FOREIGN end
  if not r then return NONE, rebuild(token, ttl_s) end
  if r.owner ~= sub(token, 20, 35) then return OTHER, r end
  return r.state, r
end
