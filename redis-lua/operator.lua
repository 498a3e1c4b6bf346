#!lua flags=allow-oom
-- SPDX-License-Identifier: MIT
-- operator: somebody who knows better says what became of a key.
-- Guarantee: only of the execution that was looked at (its fence), whose state may be running only if that is
-- forced; the fence stays, so that the next one's is larger.
-- KEYS: record
-- ARGV: word ('f' failed, 'c' completed, 'd' delete), fence (8 bytes), '1' forced, status that completed has (0: as
--   seen)
-- Reply: letter, state before, state now: S done, R running and not forced, N nothing to do here, L another
--   fence or no record (then without states), X foreign (the same).
--
-- word        RUNNING, forced  ANSWERED, forced  HELD  FREE  DONE  TOMB
-- failed      FREE             -                 FREE  -     -     -
-- completed   TOMB             TOMB              TOMB  TOMB  -     -
-- delete      FREE             FREE              FREE  -     FREE  FREE
--
-- An answer that was seen is no failure; one that is stored is not made less by `completed`. What was deleted
-- leaves nothing of its request and its answer behind, but for what still runs: its late words need the fingerprint.
-- include lib_record
local word, fence, forced, status = ARGV[1], ARGV[2], ARGV[3] == '1', count(ARGV[4], 0, 999)
local r = open(KEYS[1])
if r == false then return 'X' end
if not r or sub(r.owner, 1, 8) ~= fence then return 'L' end

local live = r.state == RUNNING or r.state == ANSWERED
local before = r.state
local leads = {
  f = {[RUNNING] = FREE, [HELD] = FREE},
  c = {[RUNNING] = TOMB, [ANSWERED] = TOMB, [HELD] = TOMB, [FREE] = TOMB},
  d = {[RUNNING] = FREE, [ANSWERED] = FREE, [HELD] = FREE, [DONE] = FREE, [TOMB] = FREE},
}
local to = leads[word][before]
if not to then return 'N' .. before .. before end
if live and not forced then return 'R' .. before .. before end

if to == TOMB and status > 0 then r.status = status end
if to == FREE and not live then
  r.print, r.whose, r.process, r.status = string.rep(NUL, 16), sub(r.whose, 1, 4) .. string.rep(NUL, 8), '', 0
end
move(KEYS[1], r, to, to == FREE and 'o' or NUL)
try('UNLINK', pending_key(KEYS[1], fence))
return 'S' .. before .. to
