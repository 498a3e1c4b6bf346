#!lua flags=allow-oom
-- SPDX-License-Identifier: MIT
-- complete, commit: the whole answer is known and is to be replayed from now on.
-- Guarantee: byte for byte what the agent wrote under the pending key, only for the owner; a stored answer
-- wins over whatever other word of the same execution came first.
-- KEYS: record   ARGV: token, status, ttl_s of a rebuilt record, Location
-- Reply: S, T it is a tombstone (no answer lay there), N it was stored already, L lost, X foreign; the error TRYAGAIN while the
-- slot moves and the answer is at its other end: the record is ANSWERED meanwhile, so that a lapse never runs it again.
--
-- The body never passes through Lua (2 ns a byte): the empty head of the pending value is filled in, and
-- it is renamed to the record. Where the agent's SET failed (OOM) or has expired, what is left is a tombstone.
local HEAD_LAST, NO_LEASE = '66', '\0\0\0\0\0\0\0\0'
-- What the agent leaves of the head behind its version: the state, and 65 bytes that this script fills in. Written out, in one piece:
-- made at each call it would cost as much as a command.
local UNWRITTEN = 'D\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'

-- Nearly always: the owner's own record, RUNNING, without slots and with nobody who waits, and the whole answer under the pending
-- key. The rest of this script does the same, by functions whose making alone costs more than this (lib.lua). The record's head is
-- taken over by cutting it up: new are the state, no lease and the status, and no process (docs/wire.md, Record). Numbers are taken
-- byte by byte: here that is cheaper than unpack and format.
local raw, pending, tail = try('GETRANGE', KEYS[1], '0', WINDOW), nil, nil
if type(raw) == 'string' and #raw >= HEAD_LEN and sub(raw, 5, 20) == sub(ARGV[1], 20, 35) then
  local a, b, c, d, e, f, g, h = byte(raw, 5, 12)
  pending = format('%sp%s:%02x%02x%02x%02x%02x%02x%02x%02x', sub(KEYS[1], 1, 12), sub(KEYS[1], 14), h, g, f, e, d, c, b, a)
  local version, _, flags = byte(raw, 1, 3)
  local low, high = byte(raw, 11, 12) -- of the fence: it is below 2^52
  local token, status = byte(ARGV[1]) - 16 * VERSION, tonumber(ARGV[2]) or -1
  local t0, t1, t2, t3 = byte(raw, 33, 36)
  if version == VERSION and sub(raw, 2, 2) == RUNNING and (flags == 0 or flags == HOLD) and low < 16 and high == 0 and
    #raw >= HEAD_LEN + byte(raw, HEAD_LEN) and #ARGV[1] == 44 and token >= 0 and token < 16 and
    tonumber(ARGV[3]) == t0 + 256 * t1 + 65536 * t2 + 16777216 * t3 and
    status >= 0 and status <= 65535 and status % 1 == 0 and try('GETRANGE', pending, '1', HEAD_LAST) == UNWRITTEN then
    tail = string.char(status % 256, floor(status / 256)) .. sub(raw, 39, 66) .. NUL
  end
end
if tail then
  call('PEXPIRE', pending, ARGV[3] .. '000')
  call('SETRANGE', pending, '1', DONE .. sub(raw, 3, 3) .. NUL .. sub(raw, 5, 20) .. NO_LEASE .. sub(raw, 29, 36) .. tail)
  local renamed = try('RENAME', pending, KEYS[1])
  if not renamed.err then return 'S' end
  call('SETRANGE', pending, '1', UNWRITTEN)
  return renamed
end

-- include lib_record
local BLANK = string.char(VERSION) .. UNWRITTEN

local status, ttl_s = count(ARGV[2], 0, 65535), ttl_seconds(ARGV[3])
local at, r = column(KEYS[1], ARGV[1], ttl_s)
if at == FOREIGN then return 'X' end
pending = pending_key(KEYS[1], sub(ARGV[1], 20, 27))
if at == OTHER or at == DONE then
  try('UNLINK', pending)
  return at == DONE and 'N' or 'L'
end

r.status = status
local whole = try('GETRANGE', pending, '0', HEAD_LEN - 1 .. '') == BLANK
-- Of two keys in one slot one is here and one is not: only while the slot moves that is an error, in Redis 8 with a text of its own.
local both = try('EXISTS', KEYS[1], pending)
local moves = type(both) == 'table' and
  (string.find(both.err, 'non local key', 1, true) or string.find(both.err, 'during rehashing', 1, true))
if not whole or moves then
  if at == TOMB and not moves then return 'N' end
  if ARGV[4] ~= '' then r.payload = ARGV[4] end -- a commit brings none: what `answered` saw stays
  if moves then
    if at == RUNNING then
      r.lease = now_us() + r.lock_ms * 1000
      move(KEYS[1], r, ANSWERED)
    end
    return {err = 'TRYAGAIN spoa-once: the slot moves, and the answer is at its other end'}
  end
  move(KEYS[1], r, TOMB)
  return 'T'
end
-- The rename is last: a user who may not do one of these has changed nothing yet, and the word is said again.
local tell = turn(r, DONE, NUL)
call('PEXPIRE', pending, stay_ms(r))
call('SETRANGE', pending, '0', head(r))
local renamed = try('RENAME', pending, KEYS[1])
if renamed.err then
  call('SETRANGE', pending, '0', BLANK)
  return renamed
end
settle_slots(r)
if tell then tell_waiters(KEYS[1], DONE) end
return 'S'
