-- SPDX-License-Identifier: MIT
-- A limits group with loans: cells, loans, and one byte that says how many loans (docs/wire.md, Loans). Stands where
-- `value` is known to have that one byte more than its cells; makes `loans` (nil: the value is broken, as it is without
-- cells) and takes them from `value`. No function, as in lib.lua.
--   a loan, 36 bytes: name I4, agent c8, number I4, tokens I4, increment d (ticks of one token), until d (ticks)
-- Those that end first stand first.
--
-- A loan that ends later than any loan lasts was made before Redis' clock stepped back: it ends LASTS from now, and that is
-- written even by a refusal, or it would be lowered anew for ever.
local LASTS = 600000000 -- 60 s
local from = #value - LOAN * byte(value, #value)
if from > CELL and from < #value then
  loans, value = sub(value, from, -2), sub(value, 1, from - 1)
  if unpack('<d', loans, #loans - 7) > tick + LASTS then
    local lowered = ''
    for i = 1, #loans, LOAN do
      lowered = lowered .. sub(loans, i, i + 27) .. pack('<d', math.min(unpack('<d', loans, i + 28), tick + LASTS))
    end
    loans, broken[g] = lowered, true
  end
end
