-- SPDX-License-Identifier: MIT
-- claim: the gate. One atomic decision for one request: its record, all its limits, its lock.
-- Guarantee: a grant is given only while nothing else may run under the key; limits are charged by a grant, all of
-- them or none, and those that count every request (EACH) by whatever else is said too; a refusal by a limit charges
-- nothing, slots are taken only by a grant; past its deadline a claim does nothing, however late a hung Redis runs it.
-- Where it is told the mark: nothing is granted from what Redis has left after a loss.
-- KEYS: limit groups, then the record if there is idempotency or a slot, then a sorted set for each slot, then the
--   mark if it is to be compared.
-- ARGV[1] (packed): has_record I1, flags I1 (1 hold, 8 tell me, 16 it is not forwarded: only count it, 32 some limit is EACH, 64 the
--   record only holds slots, 128 compare the mark), deadline d (Redis us, 0 none), contact d (Redis us), rid c8, how long the record
--   of a grant stays I1 and so many digits (ms); then the end of its head as it is written: lock_ms I4, ttl_s I4, 0 I2,
--   fingerprint c16, policy I4 and who c8, np I1, process; with 128 the mark as seen last: epoch d, number d
-- ARGV[2] (packed): for each group ttl I1 and so many digits (ms), n I1, n times: kind I1, name I4 and three d:
--   1 token bucket: increment, capacity, most (ticks)     2 sliding window: width (ticks), most, cost; n is 1
--   and marks on kind: 16 SHADOW, 32 EACH
-- ARGV[3] (packed): for each slot most I4, 1 a shadow I1, TAG and digest of its key c18
-- Reply: outcome byte, now d (us), of G, L, and under flag 32 of D, M, B, T and U: levels, then by outcome:
--   G fence I8                  Y fence I8                  D pttl d, strlen I4, first bytes
--   M state                     B fence, rid, until d, np, process
--   T status I2, pttl d, fence I8, Location    U status I2, pttl d
--   L                           P                           X version
--   W the mark is gone, or smaller than it was
-- levels, of each limit: level d (ticks; of a window requests), wait d (us; of L, and of shadows), of a window: ticks d
--   until the newest request has left it; then (G and L only) of each slot: in use I4, G: this request included
--
-- Without a shebang on purpose: so replays and refusals still work when Redis refuses writes (OOM, no
-- replicas), and a grant fails at its first write with nothing changed. Everything is checked before that.
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local stamp = pack('<d', now)
local has_record, flags, deadline, contact, rid, stay, lock_ms, ttl_s, at = unpack('<BBddc8Bc0I4I4', ARGV[1])
local head_at, print_at, np_at = at - 8, at + 2, at + 30
local SHADOW, EACH, COUNT, SLOTS_ONLY = 16, 32, 16, 64
local apart = flags % 8 > 1 -- has a limit refused that was asked apart?
local SLOT, slots = 23, #ARGV[3] / 23
local marked = flags >= 128
local groups = #KEYS - has_record - slots - (marked and 1 or 0)
local key = KEYS[groups + 1]

if deadline > 0 and now > deadline then return 'P' .. stamp end
if has_record == 1 and (lock_ms < 1 or ttl_s < 1) then error('spoa-once: lock_ms and ttl_s must be positive') end

-- Read by `call`: a mark that may not be read, or is no text, is an error and no loss.
if marked then
  local value = call('GET', KEYS[#KEYS]) or ''
  local seen_epoch, seen_number = unpack('<dd', ARGV[1], np_at + 1 + byte(ARGV[1], np_at))
  -- The same epoch, of sixteen digits until 2286, and a number as large: nearly always. A pattern costs more than the GET.
  if tonumber(sub(value, 1, 16)) ~= seen_epoch or (tonumber(sub(value, 17)) or -1) < seen_number then
    -- include lib_mark
    local lost = not epoch or epoch < seen_epoch or epoch == seen_epoch and number < seen_number
    if lost and value ~= 'go' then return 'W' .. stamp end
  end
end

-- The record. What it says against a grant is the reply; a limit that counts every request may still refuse.
local last_fence, waiters
local reply = band(flags, COUNT) ~= 0 and 'G' .. stamp .. string.rep(NUL, 8) or nil
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

  local print = sub(ARGV[1], print_at, print_at + 15)
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
      r.lease = now + r.lock_ms * 1000
      call('SETRANGE', key, LEASE_AT, pack('<I8', r.lease))
      settle_slots(r)
      return 'Y' .. stamp .. sub(r.owner, 1, 8)
    end
    return busy(r) or lapsed(r)
  end

  local r, version = parse(raw)
  if not r then return 'X' .. stamp .. version end
  reply = refusal(r)
  if reply and (band(flags, EACH) == 0 or byte(reply) == byte('Y')) then return reply end
  last_fence, waiters = r.fence, has(r.flags, WAITERS)
end

-- include lib_room
-- include lib_plain
-- include lib_limits

if reply then
  -- include lib_charge
  return sub(reply, 1, 9) .. levels .. sub(reply, 10)
end

-- The grant. The first write fails as a whole, or all others follow it.
local fence_bytes = '\0\0\0\0\0\0\0\0'
if has_record == 1 then
  local fence = last_fence and math.max(last_fence + 1, now) or now
  local owner_lease = pack('<I8c8I8', fence, rid, now + lock_ms * 1000)
  fence_bytes = sub(owner_lease, 1, 8)
  local running = string.char(VERSION, byte(RUNNING), flags % 2 * HOLD + (band(flags, SLOTS_ONLY) ~= 0 and BARE or 0) +
    (taken ~= '' and SLOTS or 0), 0) .. owner_lease .. sub(ARGV[1], head_at, marked and np_at + byte(ARGV[1], np_at) or -1) .. taken
  -- NX: an empty string is no record of ours, and reads like no key at all.
  if not call('SET', key, running, 'PX', stay, last_fence and 'XX' or 'NX') then
    return 'X' .. stamp .. NUL
  end
  -- Taken over after a lapse: who waited for the old owner is told, and may ask again.
  if waiters then call('PUBLISH', 'once:w:' .. sub(key, -32), RUNNING) end
  for i = 1, slots do
    local set = KEYS[groups + has_record + i]
    if not outage then call('ZREMRANGEBYSCORE', set, '-inf', format('%.0f', now)) end
    if counts[i] < mosts[i] then
      call('ZADD', set, format('%.0f', now + lock_ms * 1000 + grace), sub(owner_lease, 1, 16) .. pack('<I4', lock_ms))
      -- As lib_record's running_ms().
      local stay_ms = lock_ms + 2 * floor(lock_ms / GRACE)
      if call('PTTL', set) < stay_ms then call('PEXPIRE', set, format('%.0f', stay_ms)) end
    end
    in_use = (i > 1 and in_use or '') .. pack('<I4', counts[i] + 1)
  end
end
if cell then call('SET', KEYS[1], cell, 'PX', cell_ttl) end
-- include lib_charge

return 'G' .. stamp .. levels .. in_use .. fence_bytes
