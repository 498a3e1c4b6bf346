-- SPDX-License-Identifier: MIT
-- What the scripts do with a record: open it, change its state, tell its waiters, and find the column of
-- PROTOCOL's table of words that it is in. Stands where a script says `-- include lib_record`.
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

-- The bytes of a record, opened. nil and a version byte: another type of value, an unknown version, or no
-- shape of ours: nobody may touch that.
local function parse(raw)
  if type(raw) ~= 'string' then
    if not string.find(raw.err, '^WRONGTYPE') then error(raw) end -- a missing right, not a value of somebody else's
    return nil, NUL
  end
  if #raw < HEAD_LEN or byte(raw) ~= VERSION then return nil, sub(raw, 1, 1) end
  local r, np, _ = {raw = raw}, nil, nil
  _, r.state, r.flags, r.why, r.owner, r.lease, r.lock_ms, r.ttl_s, r.status, r.print, r.whose, np =
    unpack(HEAD, raw)
  r.fence = unpack('<I8', r.owner)
  local at = HEAD_LEN + np -- where the process ends
  local slots = has(r.flags, SLOTS) and 1 + 18 * (byte(raw, at + 1) or 0) or 0
  if not string.find('FRAHDT', r.state, 1, true) or r.fence >= BEYOND_EXACT or #raw < at + slots then
    return nil, sub(raw, 1, 1)
  end
  r.process = sub(raw, HEAD_LEN + 1, at)
  r.slots = sub(raw, at + 1, at + slots)
  r.payload = sub(raw, at + slots + 1)
  return r
end

-- The record under a key. nil: there is none; false: nobody may touch it.
local function open(key)
  local raw = try('GETRANGE', key, '0', WINDOW)
  if raw == '' and call('EXISTS', key) == 0 then return nil end
  return parse(raw) or false
end

local function head(r)
  return pack(HEAD, VERSION, r.state, r.flags, r.why, r.owner, r.lease, r.lock_ms, r.ttl_s, r.status, r.print,
    r.whose, #r.process)
end

-- How long a record stays, in ms. While something may run, at least until its lease has lapsed and the
-- grace after it is over: an expired record would be a granted one.
local function running_ms(lock_ms)
  return lock_ms + 2 * floor(lock_ms / GRACE)
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
  local ended = state == DONE or state == TOMB
  r.flags = band(r.flags, HOLD + PARTIAL + BARE + (ended and 0 or SLOTS) + (live and WAITERS or 0)) +
    (lapse and LAPSE or 0)
  if state ~= ANSWERED and state ~= TOMB then r.payload = '' end
  if ended then r.process = '' end
  if not live then r.lease = 0 end
  return tell
end

local function tell_waiters(key, state)
  call('PUBLISH', 'once:w:' .. sub(key, -32), state)
end

-- The pending key of the execution with this fence (8 bytes). No script declares it: while a slot moves, a command that names one key which is here
-- and one which is not is refused at both ends (TRYAGAIN), and a record that runs has no pending value. It may be
-- at the slot's other end, hence `try` wherever it is touched.
local function pending_key(key, fence)
  local a, b, c, d, e, f, g, h = byte(fence, 1, 8)
  return format('%sp%s:%02x%02x%02x%02x%02x%02x%02x%02x', sub(key, 1, 12), sub(key, 14), h, g, f, e, d, c, b, a)
end

-- include lib_slots

-- The same, written: the record's TTL begins anew with every state. One that only holds slots ends with them.
local function move(key, r, state, why, lapse)
  local tell = turn(r, state, why or NUL, lapse)
  if has(r.flags, BARE) and state ~= RUNNING and state ~= ANSWERED then
    call('UNLINK', key)
  else
    local slots = has(r.flags, SLOTS) and r.slots or ''
    call('SET', key, head(r) .. r.process .. slots .. r.payload, 'PX', stay_ms(r))
  end
  settle_slots(r)
  if tell then tell_waiters(key, state) end
end

-- The record as far as a token knows it: a piece of the fingerprint, the policy, no principal, no process. Not written.
local function rebuild(token, ttl_s)
  local code = byte(token, 44)
  local lock_s = math.max(1, code % 32 * 2 ^ floor(code / 32))
  return {state = NONE, flags = band(byte(token), HOLD) + PARTIAL, why = NUL, owner = sub(token, 20, 35),
    lease = 0, lock_ms = lock_s * 1000, ttl_s = ttl_s, status = 0,
    print = sub(token, 36, 39) .. string.rep(NUL, 12), whose = sub(token, 40, 43) .. string.rep(NUL, 8),
    process = '', slots = '', payload = ''}
end

-- Which column of the table of words the record is in, seen from a token, and the record. One that only held slots is
-- gone when it has ended, as others are DONE: nothing is rebuilt of it.
local function column(key, token, ttl_s)
  if #token ~= 44 or floor(byte(token) / 16) ~= VERSION then return FOREIGN end
  local r = open(key)
  if r == false then return FOREIGN end
  if not r then return has(byte(token), TOKEN_BARE) and DONE or NONE, rebuild(token, ttl_s) end
  if r.owner ~= sub(token, 20, 35) then return OTHER, r end
  return r.state, r
end
