-- SPDX-License-Identifier: MIT
-- The gate of the peers: one token bucket and one idempotency record, decided together. Bare: no fence, no lease but the
-- key's TTL, nothing of who runs, no mark. What a good engineer writes; the product's is redis-lua/claim.lua.
-- KEYS: bucket, record
-- ARGV[1] (packed): ttl of the bucket in ms as text and NUL, then number of buckets B, of each kind B, increment d, capacity d, spare d
-- ARGV[2]: 'P', fingerprint (16 bytes), owner (16 bytes)    ARGV[3]: how long the lock lives, ms
-- Reply: F granted, with now and the bucket; D refused, with now and the wait; R the stored record; M another fingerprint;
--        B in progress, with its TTL; A ours already
local call, sub, pack, unpack = redis.call, string.sub, struct.pack, struct.unpack
local mine = ARGV[2]

local found = call('GETRANGE', KEYS[2], '0', '2080')
if found ~= '' then
  if sub(found, 2, 17) ~= sub(mine, 2, 17) then return 'M' end
  local state = sub(found, 1, 1)
  if state == 'C' then return 'R' .. found end
  if state ~= 'P' then return redis.error_reply('BADREC a record of an unknown state') end
  if sub(found, 18, 33) == sub(mine, 18, 33) then return 'A' end
  return 'B' .. call('PTTL', KEYS[2])
end

local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local ttl, buckets, at = unpack('<sB', ARGV[1])
local value, seen = call('GET', KEYS[1]), 1
local cells, waits, refused = '', {}, false
for i = 1, buckets do
  local _, increment, capacity
  _, increment, capacity, _, at = unpack('<Bddd', ARGV[1], at)
  local arrival = now
  if value then
    local stored
    stored, seen = unpack('<d', value, seen)
    arrival = math.min(math.max(stored, now), now + capacity)
  end
  arrival = arrival + increment
  waits[i] = math.max(arrival - now - capacity, 0)
  refused = refused or waits[i] > 0
  cells = cells .. pack('<d', arrival)
end
if refused then
  local reply = 'D' .. pack('<d', now)
  for i = 1, buckets do reply = reply .. pack('<d', waits[i]) end
  return reply
end
call('PSETEX', KEYS[1], ttl, cells)
call('PSETEX', KEYS[2], ARGV[3], mine)
return 'F' .. pack('<d', now) .. cells
