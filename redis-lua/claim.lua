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
--   T status I2, pttl d, fence I8, Location    U status I2, pttl d
--   L wait d (us), level d of each limit   P                           X version
--
-- Without a shebang on purpose: so replays and refusals still work when Redis refuses writes (OOM, no
-- replicas), and a grant fails at its first write with nothing changed. Everything is checked before that.
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local stamp = pack('<d', now)
local has_record, deadline, contact, print, rid, lock_ms, ttl_s, flags, process =
  unpack('<Bddc16c8I4I4BBc0', ARGV[1])
local groups = #KEYS - has_record
local key = KEYS[groups + 1]

if deadline > 0 and now > deadline then return 'P' .. stamp end
if has_record == 1 and (lock_ms < 1 or ttl_s < 1) then error('spoa-once: lock_ms and ttl_s must be positive') end

-- The record. What it says against a grant is returned from this block.
local last_fence, waiters
local raw = has_record == 1 and try('GETRANGE', key, '0', WINDOW) or ''
if raw ~= '' then
  -- include lib_record

  local function pttl()
    return pack('<d', math.max(call('PTTL', key), 0)) -- -1: somebody has taken its TTL away
  end

  local function tombstone(r)
    return 'T' .. stamp .. pack('<I2', r.status) .. pttl() .. sub(r.owner, 1, 8) .. r.payload
  end

  local function unknown(r)
    return 'U' .. stamp .. pack('<I2', r.status) .. pttl()
  end

  local function replay(r)
    local len = #r.raw
    if len > WINDOW + 0 then len = call('STRLEN', key) end
    return 'D' .. stamp .. pttl() .. pack('<I4', len) .. r.raw
  end

  local function same_print(r)
    if has(r.flags, PARTIAL) then return sub(r.print, 1, 4) == sub(print, 1, 4) end
    return r.print == print
  end

  -- RUNNING or ANSWERED: busy, with the moment from which the lease no longer protects it; nil past it.
  -- After an outage every living agent has a heartbeat's time, from when this one was served again, to extend
  -- before anybody may take over.
  local function busy(r)
    -- Redis' clock stepped back: without the write the lease would be lowered anew by every claim and never
    -- end. A refused write (OOM) only leaves it for the next claim.
    if r.lease > now + r.lock_ms * 1000 then
      r.lease = now + r.lock_ms * 1000
      try('SETRANGE', key, LEASE_AT, pack('<I8', r.lease))
    end
    local until_us = math.max(r.lease, math.min(contact, now)) + floor(r.lock_ms * 1000 / GRACE)
    if now >= until_us then return nil end
    if has(flags, WAITERS) and not has(r.flags, WAITERS) then
      try('SETRANGE', key, FLAGS_AT, string.char(r.flags + WAITERS))
    end
    return 'B' .. stamp .. r.owner .. pack('<dB', until_us, #r.process) .. r.process
  end

  -- The lease has lapsed: the record's own flag decides what that means. nil: it may be granted.
  local function lapsed(r)
    if r.state == ANSWERED then
      move(key, r, TOMB)
      return tombstone(r)
    end
    if has(r.flags, HOLD) then
      move(key, r, HELD, 'l', true)
      return unknown(r)
    end
    return nil
  end

  local function refusal(r)
    if r.state == FREE then return nil end
    if not same_print(r) then return 'M' .. stamp .. r.state end
    if r.state == DONE then return replay(r) end
    if r.state == TOMB then return tombstone(r) end
    if r.state == HELD then return unknown(r) end
    -- The same rid: the reply of this very claim was lost. Only while RUNNING: an answer that is known already
    -- must not be asked for again. Its lease begins anew: a lapsed one would let another claim in beside it.
    if r.state == RUNNING and sub(r.owner, 9) == rid then
      call('SETRANGE', key, LEASE_AT, pack('<I8', now + r.lock_ms * 1000))
      return 'Y' .. stamp .. sub(r.owner, 1, 8)
    end
    return busy(r) or lapsed(r)
  end

  local r, version = parse(raw)
  if not r then return 'X' .. stamp .. version end
  local reply = refusal(r)
  if reply then return reply end
  last_fence, waiters = r.fence, has(r.flags, WAITERS)
end

-- Limits. GCRA, the generic cell rate algorithm (ITU-T I.371, annex A, virtual scheduling): one theoretical
-- arrival time (TAT) for each limit; with tat = max(stored, now) a request passes if
--   tat + increment - now <= capacity;  then stored = tat + increment.
-- Ticks of 100 ns since 2023-01-01 UTC (Unix time 1672531200): whole numbers below 2^53, and fine enough for
-- rates of 70,000/s. A TAT beyond now + capacity (clock stepped back, smaller capacity configured) is lowered
-- to it, a broken value counts as that: a full bucket, never an open one.
local tick = (now - 1672531200000000) * 10
local refused, at, n = false, 1, 0
local used, charged = {}, {} -- of each limit: ticks used before and after this request
local waits = {}             -- of each limit: ticks until it would pass; not positive: it passes
local ttls, ends, broken = {}, {}, {} -- of each group: ttl, number of its last limit, is its value unusable?
for g = 1, groups do
  local ttl_ms, size
  ttl_ms, size, at = unpack('<I4B', ARGV[2], at)
  if ttl_ms < 1 then error('spoa-once: ttl_ms of a limit must be positive') end
  local value = try('GET', KEYS[g])
  if value and (type(value) ~= 'string' or value == '' or #value % 8 ~= 0) then value, broken[g] = nil, true end
  for i = 1, size do
    local kind, increment, capacity, _
    kind, increment, capacity, _, at = unpack('<Bddd', ARGV[2], at)
    if kind ~= 1 then error('spoa-once: unknown kind of limit') end
    local before = 0
    if value and #value >= 8 * i then -- a shorter group: this limit is new, nothing is used of it
      local tat = unpack('<d', value, 8 * i - 7)
      before = tat - tick
      if not (tat >= 0 and before <= capacity and tat == floor(tat)) then
        before, broken[g] = capacity, true
      elseif before < 0 then
        before = 0
      end
    elseif broken[g] and not value then
      before = capacity
    end
    n = n + 1
    used[n], charged[n], waits[n] = before, before + increment, before + increment - capacity
    refused = refused or waits[n] > 0
  end
  ttls[g], ends[g] = format('%.0f', ttl_ms), n
end

if refused then
  -- A value that was lowered or broken is written back even now, or the refusals would go on until the clock
  -- has caught up. Nothing is charged by that.
  for g in pairs(broken) do
    local cells = {}
    for i = (ends[g - 1] or 0) + 1, ends[g] do
      cells[#cells + 1] = pack('<d', tick + used[i])
    end
    try('SET', KEYS[g], table.concat(cells), 'PX', ttls[g])
  end
  local out = {'L', stamp}
  for i = 1, n do
    out[i + 2] = pack('<dd', waits[i] > 0 and math.ceil(waits[i] / 10) or 0, used[i])
  end
  return table.concat(out)
end

-- The grant. The first write fails as a whole, or all others follow it.
local fence = 0
if has_record == 1 then
  fence = last_fence and math.max(last_fence + 1, now) or now
  local running = pack(HEAD, VERSION, RUNNING, flags % 2 * HOLD, NUL, pack('<I8', fence) .. rid,
    now + lock_ms * 1000, lock_ms, ttl_s, 0, print, #process) .. process
  -- As lib_record's stay_ms(): at least the lease and the grace after it.
  local stay = format('%.0f', math.max(ttl_s * 1000, lock_ms + 2 * floor(lock_ms / GRACE)))
  -- NX: an empty string is no record of ours, and reads like no key at all.
  if not call('SET', key, running, 'PX', stay, last_fence and 'XX' or 'NX') then
    return 'X' .. stamp .. NUL
  end
  -- Taken over after a lapse: who waited for the old owner is told, and may ask again.
  if waiters then call('PUBLISH', 'once:w:' .. sub(key, -32), RUNNING) end
end
local levels = ''
for g = 1, groups do
  local cells = ''
  for i = (ends[g - 1] or 0) + 1, ends[g] do
    cells = cells .. pack('<d', tick + charged[i])
    levels = levels .. pack('<d', charged[i])
  end
  call('SET', KEYS[g], cells, 'PX', ttls[g])
end
return 'G' .. stamp .. pack('<I8', fence) .. levels
