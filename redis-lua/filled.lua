-- SPDX-License-Identifier: MIT
-- filled: a fill has ended: its answer is stored, or why nobody should wait for the next one; and those who wait are told.
-- Guarantee: never puts an answer over one that was asked for later; never ends another one's lease; the URL's state lives as long as what
-- is stored.
-- KEYS: fill, entry, url, aside (where the SET in front of this has put the entry: a body must not pass through Lua)
-- ARGV: id of the lease, mark (empty, n not storable, e failed, x not storable for this request), its ms, 1 if there is something aside, when it was asked for
--   (us, I8), names of Vary (a count and the names, as in an entry), ms of the URL's state where there are any
-- Reply: S stored, K it would not count (a later one is there, or nothing is known of the URL any more), F Redis did not take it, N there was
-- nothing to store
--
-- No shebang: when Redis is full nothing is stored, but the lease ends and the others are told all the same.
local fill, entry, url, aside = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local lease, mark, mark_ms, stored, asked, names, url_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local ASKED_AT, ASKED_END, TIME = '24', '31', 8
local reply = 'N'

local function failed(r)
  return type(r) == 'table' and r.err
end

-- What says that it was asked for at a time to come is corrupt.
local function later(there)
  if type(there) ~= 'string' or #there ~= TIME or unpack('<I8', there) <= unpack('<I8', asked) then return false end
  local t = call('TIME')
  return unpack('<I8', there) <= t[1] * 1000000 + t[2]
end

-- The names may be new, and the state must not end before the entry.
local function keep(state)
  local before = sub(state, TIME + 1)
  if before ~= names and (before ~= '' or names ~= NUL) then
    try('SET', url, sub(state, 1, TIME) .. names, 'KEEPTTL')
  end
  try('PEXPIRE', url, names == NUL and format('%.0f', math.max(call('PTTL', entry), 1)) or url_ms, 'GT')
end

if stored == '1' then
  local state = try('GET', url)
  local known = type(state) == 'string' and #state >= TIME
  if not known or later(try('GETRANGE', entry, ASKED_AT, ASKED_END)) then
    reply = 'K'
    call('UNLINK', aside)
  else
    reply = failed(try('RENAME', aside, entry)) and 'F' or 'S'
  end
  if known then keep(state) end
end
if try('GET', fill) == lease then
  -- x tells those alone who have waited for this very lease; for all others nobody fetches.
  local left = mark == 'x' and mark .. lease or mark
  if mark == '' or mark_ms == '0' or failed(try('SET', fill, left, 'PX', mark_ms)) then call('UNLINK', fill) end
end
try('PUBLISH', 'once:w:' .. sub(fill, -32), mark)
return reply
