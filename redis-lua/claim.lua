-- SPDX-License-Identifier: MIT
-- claim: the gate. One atomic decision for one request: its record, all its limits, its lock.
-- Guarantee: a grant is given only while nothing else may run under the key; limits are charged only by a
-- grant, all of them or none; past its deadline a claim does nothing, however late a hung Redis runs it.
-- KEYS: limit groups, then the record if there is idempotency.
-- ARGV[1] (packed): has_record I1, deadline d (Redis us, 0 none), contact d (Redis us), fingerprint c16,
--   rid c8, lock_ms I4, ttl_s I4, flags I1 (1 hold, 8 tell me), np I1, process
-- ARGV[2] (packed): for each group ttl_ms I4, n I1, n times: kind I1 (1 token bucket), increment d,
--   capacity d (ticks), unused d
-- Reply: outcome byte, now d (us), then by outcome:
--   G fence I8, level d of each limit      Y fence I8                  D pttl d, strlen I4, first bytes
--   M state                                B fence, rid, until d, np, process
--   T status I2, pttl d, Location          U status I2, pttl d
--   L wait d (us), level d of each limit   P                           X version
--
-- Without a shebang on purpose: so replays and refusals still work when Redis refuses writes (OOM, no
-- replicas), and a grant fails at its first write with nothing changed. Everything is checked before that.
local now = now_us()
local stamp = pack('<d', now)
local has_record, deadline, contact, print, rid, lock_ms, ttl_s, flags, process =
  unpack('<Bddc16c8I4I4BBc0', ARGV[1])
local groups = #KEYS - has_record
local record_key = KEYS[groups + 1]

if deadline > 0 and now > deadline then return 'P' .. stamp end
if has_record == 1 and (lock_ms < 1 or ttl_s < 1) then error('spoa-once: lock_ms and ttl_s must be positive') end

local function pttl()
  return pack('<d', call('PTTL', record_key))
end

local function tombstone(r)
  return 'T' .. stamp .. pack('<I2', r.status) .. pttl() .. r.payload
end

local function unknown(r)
  return 'U' .. stamp .. pack('<I2', r.status) .. pttl()
end

-- RUNNING or ANSWERED: busy, with the moment from which the lease no longer protects it; nil past it.
-- After an outage every living agent has a heartbeat's time, from when this one was served again, to extend
-- before anybody may take over.
local function busy(r)
  -- Redis' clock stepped back: without the write the lease would be lowered anew by every claim and never
  -- end. A refused write (OOM) only leaves it for the next claim.
  if r.lease > now + r.lock_ms * 1000 then
    r.lease = now + r.lock_ms * 1000
    try('SETRANGE', record_key, '20', pack('<I8', r.lease))
  end
  local until_us = math.max(r.lease, math.min(contact, now)) + floor(r.lock_ms * 1000 / 3)
  if now >= until_us then return nil end
  if has(flags, WAITERS) and not has(r.flags, WAITERS) then
    try('SETRANGE', record_key, '2', string.char(r.flags + WAITERS))
  end
  return 'B' .. stamp .. r.owner .. pack('<dB', until_us, #r.process) .. r.process
end

-- The lease has lapsed: the record's own flag decides what that means. nil: it may be granted.
local function lapsed(r)
  if r.state == ANSWERED then
    move(record_key, r, TOMB)
    return tombstone(r)
  end
  if has(r.flags, HOLD) then
    move(record_key, r, HELD, 'l', true)
    return unknown(r)
  end
  return nil
end

local function same_print(r)
  if has(r.flags, PARTIAL) then return sub(r.print, 1, 4) == sub(print, 1, 4) end
  return r.print == print
end

-- What the record says against a grant; nil: nothing.
local function refusal(r)
  if r.state == FREE then return nil end
  if not same_print(r) then return 'M' .. stamp .. r.state end
  if r.state == DONE then
    local len = #r.raw
    if len > WINDOW + 0 then len = call('STRLEN', record_key) end
    return 'D' .. stamp .. pttl() .. pack('<I4', len) .. r.raw
  end
  if r.state == TOMB then return tombstone(r) end
  if r.state == HELD then return unknown(r) end
  -- The same rid: the reply of this very claim was lost. Only while RUNNING: an answer that is known already
  -- must not be asked for again.
  if r.state == RUNNING and sub(r.owner, 9) == rid then return 'Y' .. stamp .. sub(r.owner, 1, 8) end
  return busy(r) or lapsed(r)
end

local r, version
if has_record == 1 then
  r, version = open(record_key)
  if r == false then return 'X' .. stamp .. version end
  local reply = r and refusal(r)
  if reply then return reply end
end

-- Limits. GCRA, the generic cell rate algorithm (ITU-T I.371, annex A, virtual scheduling): one theoretical
-- arrival time (TAT) for each limit; with tat = max(stored, now) a request passes if
--   tat + increment - now <= capacity;  then stored = tat + increment.
-- Ticks of 100 ns since 2023-01-01 UTC (Unix time 1672531200): whole numbers below 2^53, and fine enough for
-- rates of 70,000/s. A TAT beyond now + capacity (clock stepped back, smaller capacity configured) is lowered
-- to it, a broken value counts as that: a full bucket, never an open one. It is written back even by a refusal,
-- or the refusals would go on until the clock has caught up.
local tick = (now - 1672531200000000) * 10
local limits, refused, at = {}, false, 1
local broken, ttl_of, first, last = {}, {}, {}, {}
for g = 1, groups do
  local ttl_ms, n
  ttl_ms, n, at = unpack('<I4B', ARGV[2], at)
  if ttl_ms < 1 then error('spoa-once: ttl_ms of a limit must be positive') end
  local value = try('GET', KEYS[g])
  local unreadable = value and (type(value) ~= 'string' or value == '' or #value % 8 ~= 0)
  ttl_of[g], first[g], last[g] = format('%.0f', ttl_ms), #limits + 1, #limits + n
  for i = 1, n do
    local kind, increment, capacity, _
    kind, increment, capacity, _, at = unpack('<Bddd', ARGV[2], at)
    if kind ~= 1 then error('spoa-once: unknown kind of limit') end
    local tat = tick
    if unreadable then
      tat, broken[g] = tick + capacity, true
    elseif value and #value >= 8 * i then -- a shorter group: this limit is new, nothing is used of it
      tat = unpack('<d', value, 8 * i - 7)
      if not (tat >= 0 and tat <= tick + capacity and tat == floor(tat)) then
        tat, broken[g] = tick + capacity, true
      elseif tat < tick then
        tat = tick
      end
    end
    local over = tat + increment - tick - capacity
    refused = refused or over > 0
    limits[#limits + 1] = {tat = tat, increment = increment, wait = over > 0 and math.ceil(over / 10) or 0}
  end
end

-- charge: 1 adds the increments, 0 writes back what was there.
local function write_group(g, charge)
  local cells = {}
  for i = first[g], last[g] do
    cells[#cells + 1] = pack('<d', limits[i].tat + charge * limits[i].increment)
  end
  return try('SET', KEYS[g], table.concat(cells), 'PX', ttl_of[g])
end

if refused then
  for g in pairs(broken) do write_group(g, 0) end
  local out = {'L', stamp}
  for i = 1, #limits do
    out[#out + 1] = pack('<dd', limits[i].wait, limits[i].tat - tick)
  end
  return table.concat(out)
end

-- The grant. The first write fails as a whole or the others follow it.
local fence = 0
if has_record == 1 then
  fence = r and math.max(r.fence + 1, now) or now
  local granted = {state = RUNNING, flags = band(flags, HOLD), why = NUL, owner = pack('<I8', fence) .. rid,
    lease = now + lock_ms * 1000, lock_ms = lock_ms, ttl_s = ttl_s, status = 0, print = print,
    process = process}
  -- NX: an empty string is no record of ours, and reads like no key at all.
  if not call('SET', record_key, head(granted) .. process, 'PX', stay_ms(granted), r and 'XX' or 'NX') then
    return 'X' .. stamp .. NUL
  end
  -- Taken over after a lapse: who waited for the old owner is told, and may ask again.
  if r and has(r.flags, WAITERS) then tell_waiters(record_key, RUNNING) end
end
local out = {'G', stamp, pack('<I8', fence)}
for g = 1, groups do
  local done = write_group(g, 1)
  if done.err then return done end -- of a plan without a record: the first write, nothing was changed
end
for i = 1, #limits do
  out[#out + 1] = pack('<d', limits[i].tat + limits[i].increment - tick)
end
return table.concat(out)
