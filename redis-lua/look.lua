#!lua flags=no-writes,allow-cross-slot-keys
-- SPDX-License-Identifier: MIT
-- look: what an operator sees of Redis.
-- Guarantee: changes nothing, and looks at a bounded number of keys: one of SCAN's steps.
-- KEYS: one record to look at, or none: then a step of a walk through all
-- ARGV: cursor (decimal; 0 begins), keys for a step, kind ('r' records, 'l' limits, 'c' slots of concurrency limits),
--   how many bytes of each value; and which records: policy (4 bytes), who (8 bytes), states (letters); empty: any
-- Reply: now I8 (us), length of the next cursor I1, cursor (decimal; 0: that was the last step), and for each key:
--   TAG and digest c36 (hex), pttl I8, length of the value I4, n I2, its first n bytes; of slots the value is how many
--   are taken, I4
--
-- Keys that come or go meanwhile may be seen or not, and one may be seen twice (SCAN). A look at one key that is
-- not there, or is of another type, finds nothing. In a cluster a step is sent behind ASKING: the keys of a slot that is on
-- its way here are refused to a script otherwise.
local cursor, step, kind, bytes, policy, who, states =
  ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local keys = KEYS
if #KEYS == 0 then
  local found = call('SCAN', cursor, 'MATCH', 'once:{????}:' .. kind .. ':*', 'COUNT', step)
  cursor, keys = found[1], found[2]
else
  cursor = '0'
end

local function wanted(value)
  if kind ~= 'r' then return true end
  return (policy == '' or sub(value, 55, 58) == policy) and (who == '' or sub(value, 59, 66) == who) and
    (states == '' or string.find(states, sub(value, 2, 2), 1, true) ~= nil)
end

local function value_of(key)
  if kind ~= 'c' then return try('GETRANGE', key, '0', format('%.0f', bytes - 1)) end
  local taken = try('ZCOUNT', key, '(' .. format('%.0f', now), '+inf')
  return type(taken) == 'number' and taken > 0 and pack('<I4', taken)
end

local out = {pack('<I8B', now, #cursor) .. cursor}
for _, key in ipairs(keys) do
  -- Redis 8 looks for a key whose slot is on its way elsewhere in the slot of the key before, and misses it: TIME has none.
  call('TIME')
  local value = #key == 46 and value_of(key)
  if type(value) == 'string' and value ~= '' and wanted(value) then
    out[#out + 1] = sub(key, 7, 10) .. sub(key, -32) ..
      pack('<I8I4I2', math.max(call('PTTL', key), 0), kind == 'c' and #value or call('STRLEN', key), #value) .. value
  end
end
return table.concat(out)
