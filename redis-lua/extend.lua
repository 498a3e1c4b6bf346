#!lua flags=allow-oom
-- SPDX-License-Identifier: MIT
-- extend: the heartbeat of executions that HAProxy lists as running.
-- Guarantee: a lease is renewed only for its owner; a record that is gone is rebuilt, one that a claim found
-- lapsed goes back to RUNNING; one that was released or taken over stays as it is.
-- KEYS: the records   ARGV[1]: the tokens, 44 bytes each; ARGV[2]: ttl_s of a rebuilt record
-- Reply: one byte for each token: S extended, N nothing to do, L lost, X foreign.
-- include lib_record
local ttl_s = ttl_seconds(ARGV[2])
local now = now_us()

-- The lease alone is written: the rest of the record may be longer than what was read of it.
local function renew(key, token, r)
  local stay = format('%.0f', running_ms(r.lock_ms))
  r.lease = now + r.lock_ms * 1000
  call('SETRANGE', key, '20', pack('<I8', r.lease))
  call('PEXPIRE', key, stay, 'GT')
  if r.state == ANSWERED then try('PEXPIRE', pending_key(key, sub(token, 20, 27)), stay) end
  settle_slots(r)
end

local function extend(key, token)
  local at, r = column(key, token, ttl_s)
  if at == FOREIGN then return 'X' end
  if at == OTHER or at == FREE then return 'L' end
  if at == RUNNING or at == ANSWERED then
    renew(key, token, r)
    return 'S'
  end
  if at == NONE or (at == HELD and has(r.flags, LAPSE)) then
    r.lease = now + r.lock_ms * 1000
    move(key, r, RUNNING)
    return 'S'
  end
  return 'N'
end

local replies = {}
for i = 1, #KEYS do
  replies[i] = extend(KEYS[i], sub(ARGV[1], 44 * i - 43, 44 * i))
end
return table.concat(replies)
