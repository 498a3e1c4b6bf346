#!lua flags=allow-oom
-- SPDX-License-Identifier: MIT
-- The peers' end of an execution: what SET has left under the second key becomes the record, if the owner still holds the first.
-- KEYS: record, pending   ARGV: 'P' fingerprint owner, ms that the record stays, tombstone for a pending value that is gone
-- Reply: S stored, T a tombstone, G the record is gone, A it was stored already, L another one's
local call, sub = redis.call, string.sub
local found = call('GETRANGE', KEYS[1], '0', '544')
if sub(found, 1, 33) ~= ARGV[1] then
  call('UNLINK', KEYS[2])
  if found == '' then return 'G' end
  if sub(found, 1, 1) ~= 'P' and sub(found, 2, 33) == sub(ARGV[1], 2, 33) then return 'A' end
  return 'L'
end
if call('EXISTS', KEYS[2]) == 1 then
  call('RENAME', KEYS[2], KEYS[1])
  call('PEXPIRE', KEYS[1], ARGV[2])
  return 'S'
end
call('PSETEX', KEYS[1], ARGV[2], ARGV[3])
return 'T'
