#!lua flags=allow-oom
-- SPDX-License-Identifier: MIT
-- unstorable: the whole answer passed, with a status that the policy does not store.
-- Guarantee: the key is free again; under `hold` a status that leaves the outcome unknown holds it.
-- KEYS: record   ARGV: token, status, ttl_s, what the status means ('H' unknown, 'F' known)
-- Reply: S, N nothing to do, L lost, X foreign.
-- include lib_record
local status, ttl_s = count(ARGV[2], 0, 65535), ttl_seconds(ARGV[3])
local at, r = column(KEYS[1], ARGV[1], ttl_s)
if at == FOREIGN then return 'X' end
if at == OTHER then return 'L' end
if at ~= RUNNING and at ~= ANSWERED then return 'N' end

r.status = status
-- The record's flag, not the reader's policy file: the file may be newer than the claim.
move(KEYS[1], r, ARGV[4] == 'H' and has(r.flags, HOLD) and HELD or FREE, 's')
try('UNLINK', pending_key(KEYS[1], sub(ARGV[1], 20, 27)))
return 'S'
