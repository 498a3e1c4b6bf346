-- SPDX-License-Identifier: MIT
-- A bucket's cell is not where it was looked for: limits came, went, or stand in another order than when the group was
-- written. What is used follows the limit's name: its cell is moved to its place, the i-th; one that is not there is
-- unused. Stands in lib_limits; sets `tat`. All cells in front of the i-th are in their places by now.
tat = 0
for from = CELL * i - 11, #value, CELL do
  local other, t = unpack('<I4d', value, from)
  if other == name then
    tat, value = t, sub(value, 1, from - 1) .. sub(value, from + CELL)
    break
  end
end
value = sub(value, 1, CELL * (i - 1)) .. pack('<I4d', name, tat) .. sub(value, CELL * i - 11)
