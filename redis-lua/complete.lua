#!lua flags=allow-oom
-- SPDX-License-Identifier: MIT
-- complete, commit: the whole answer is known and is to be replayed from now on.
-- Guarantee: byte for byte what the agent wrote under the pending key, only for the owner; a stored answer
-- wins over whatever other word of the same execution came first.
-- KEYS: record, pending   ARGV: token, status, ttl_s of a rebuilt record, Location
-- Reply: S, T it is a tombstone (no answer lay there), N it was stored already, L lost, X foreign.
--
-- The body never passes through Lua (2 ns a byte): the empty head of the pending value is filled in, and
-- it is renamed to the record. Where the agent's SET failed (OOM) or has expired, what is left is a tombstone.
-- include lib_record
local BLANK = string.char(VERSION) .. DONE .. string.rep(NUL, HEAD_LEN - 2)

local status, ttl_s = count(ARGV[2], 0, 65535), ttl_seconds(ARGV[3])
local at, r = column(KEYS[1], ARGV[1], ttl_s)
if at == FOREIGN then return 'X' end
if at == OTHER or at == DONE then
  call('UNLINK', KEYS[2])
  return at == DONE and 'N' or 'L'
end

r.status = status
if try('GETRANGE', KEYS[2], '0', HEAD_LEN - 1 .. '') ~= BLANK then
  if at == TOMB then return 'N' end
  if ARGV[4] ~= '' then r.payload = ARGV[4] end -- a commit brings none: what `answered` saw stays
  move(KEYS[1], r, TOMB)
  return 'T'
end
-- The rename is last: a user who may not do one of these has changed nothing yet, and the word is said again.
local tell = turn(r, DONE, NUL)
call('PEXPIRE', KEYS[2], stay_ms(r))
call('SETRANGE', KEYS[2], '0', head(r))
local renamed = try('RENAME', KEYS[2], KEYS[1])
if renamed.err then
  call('SETRANGE', KEYS[2], '0', BLANK)
  return renamed
end
settle_slots(r)
if tell then tell_waiters(KEYS[1], DONE) end
return 'S'
