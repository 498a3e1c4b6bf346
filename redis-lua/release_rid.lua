#!lua flags=allow-oom
-- SPDX-License-Identifier: MIT
-- release_rid: HAProxy gave up on a claim; nobody knows its fence, because its answer was never seen.
-- Guarantee: frees the key only while it is RUNNING for that very request, which was never sent.
-- KEYS: record   ARGV: rid (8 bytes), ttl_s (not used: nothing is rebuilt)
-- Reply: S, N nothing to do, X foreign.
-- include lib_record
local r = open(KEYS[1])
if r == false then return 'X' end
if not r or r.state ~= RUNNING or sub(r.owner, 9) ~= ARGV[1] then return 'N' end
move(KEYS[1], r, FREE, 'n')
return 'S'
