-- SPDX-License-Identifier: MIT
-- What is on loan of a token bucket counts as not refilled. Stands where `before` (ticks used, by the TAT alone), `name`,
-- `tick` and `loans` are known; raises `before`, and makes `lent` (ticks on loan now).
--
-- Guarantee: in every interval at most burst + rate * interval tokens are spent, at any number of agents, although a
-- token may be spent later than it was charged.
--   Let level = max(0, TAT - now), as ever, but while n ticks are on loan TAT is at least now + n: at every moment
--     (capacity - level) + (on loan) <= capacity                                                      (1)
--   What could be spent at a moment t is P(t) = (capacity - level) + (what agents truly have left of loans), and since they
--   have at most what is on loan, P(t) <= capacity. P grows by time alone, at most one tick a tick: a loan and what is given
--   back move ticks from one term to the other, a request takes its increment, a loan that ends takes the rest of it. So
--   what is spent in an interval is at most P(its begin) + its length <= capacity + length.
--   (1) without the second half of the sentence above would let a burst through twice: taken, refilled while it was kept,
--   and spent together with what was refilled.
-- For the same reason a TAT keeps what it was raised to when a loan goes: the tokens may have been spent just before. So
-- the loans that are over raise it as well, each to what was on loan when it ended; they go when somebody writes that.
lent = 0
for from = 1, #loans, LOAN do
  local of, _, tokens, each = unpack('<I4c12I4d', loans, from)
  if of == name then lent = lent + tokens * each end
end
for from = 1, #loans, LOAN do
  local of, _, tokens, each, ends = unpack('<I4c12I4dd', loans, from)
  if of == name then
    before = math.max(before, math.min(ends - tick, 0) + lent)
    if ends > tick then break end
    lent = lent - tokens * each
  end
end
