#!lua flags=allow-oom
-- SPDX-License-Identifier: MIT
-- answered: an answer has begun; its status is known, its end is not.
-- Guarantee: from now on a lapse ends in a tombstone, never in a second execution.
-- KEYS: record (its pending value was SET by the agent just before, if the body may become storable)
-- ARGV: token, status, ttl_s of a rebuilt record, Location
-- Reply: S, N nothing to do, L lost, X foreign.
-- include lib_record
local status, ttl_s = count(ARGV[2], 0, 65535), ttl_seconds(ARGV[3])
local at, r = column(KEYS[1], ARGV[1], ttl_s)
if at == FOREIGN then return 'X' end
if at == OTHER then
  try('UNLINK', pending_key(KEYS[1], sub(ARGV[1], 20, 27)))
  return 'L'
end
-- A cut is later evidence than the answer's beginning, even if its word came first.
if at == ANSWERED or at == DONE or at == TOMB or (at == FREE and r.why == 'c') then return 'N' end

r.status, r.payload = status, ARGV[4]
r.lease = now_us() + r.lock_ms * 1000 -- it was alive when this was seen
move(KEYS[1], r, ANSWERED)
return 'S'
