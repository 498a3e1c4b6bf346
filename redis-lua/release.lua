#!lua flags=allow-oom
-- SPDX-License-Identifier: MIT
-- release: there is proof that the key may run again.
-- Guarantee: never against later or better evidence of the same execution; the fence stays.
-- KEYS: record   ARGV: token, proof ('c' cut, 'n' never sent, 'o' operator), ttl_s
-- Reply: S, N nothing to do, L lost, X foreign.
--
-- proof       RUNNING  ANSWERED  HELD
-- never sent  FREE     FREE      FREE
-- operator    FREE     -         FREE
-- cut         FREE     FREE      -      and always - under `hold`: sent and cut is unknown there
-- include lib_record
local proof, ttl_s = ARGV[2], ttl_seconds(ARGV[3])
local at, r = column(KEYS[1], ARGV[1], ttl_s)
if at == FOREIGN then return 'X' end
if at == OTHER then return 'L' end

local frees = {
  n = at == RUNNING or at == ANSWERED or at == HELD,
  o = at == RUNNING or at == HELD,
  c = (at == RUNNING or at == ANSWERED) and not has(r.flags, HOLD),
}
if not frees[proof] then return 'N' end
move(KEYS[1], r, FREE, proof)
try('UNLINK', pending_key(KEYS[1], sub(ARGV[1], 20, 27)))
return 'S'
