#!lua flags=allow-oom
-- SPDX-License-Identifier: MIT
-- mark: has Redis forgotten? One key that only grows; whoever has seen it larger than it is knows of a loss.
-- Guarantee: a mark never goes back by our doing; a loss is never covered up without `may begin` or an
-- operator's `go`.
-- KEYS: the mark   ARGV: epoch, number (decimal, as seen last; 0 0: none seen), 1 may begin a new one, 0 not
-- Reply: letter, epoch I8, number I8 (W and X: zero)
--   K kept, one larger now   F first, begun   L lost, a new epoch begun   W lost or missing, untouched
--   X a value that is no mark of ours, untouched
--
-- Epochs are Redis' time in us, so a later one is always larger, whichever agent or operator began it.
local key, seen_epoch, seen_number, may_begin = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == '1'
local TTL_S = '34560000' -- 400 days: longer than any record (idempotency.record: 365 days at the most)

local function reply(letter, epoch, number)
  return letter .. pack('<I8I8', epoch, number)
end

local function keep(letter, epoch, number)
  call('SET', key, format('%.0f %.0f', epoch, number), 'EX', TTL_S)
  return reply(letter, epoch, number)
end

local function begin(letter)
  local t = call('TIME')
  return keep(letter, math.max(t[1] * 1000000 + t[2], seen_epoch + 1), 1)
end

local value = try('GET', key)
if type(value) == 'table' and not string.find(value.err, '^WRONGTYPE') then return value end -- may not read it
if value == 'go' then return begin('K') end
if value == false then
  if not may_begin then return reply('W', 0, 0) end
  return begin(seen_epoch == 0 and 'F' or 'L')
end
-- include lib_mark
if not epoch then return reply('X', 0, 0) end
if epoch < seen_epoch or epoch == seen_epoch and number < seen_number then
  if not may_begin then return reply('W', 0, 0) end
  return begin('L')
end
return keep('K', epoch, number + 1)
