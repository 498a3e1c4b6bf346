-- SPDX-License-Identifier: MIT
-- What the mark says. Stands where a script has read it into `value`; makes epoch and number, or nil: it is no mark
-- of ours. No function, as in lib.lua.
local _, epoch, number
if type(value) == 'string' then
  _, _, epoch, number = string.find(value, '^(%d+) (%d+)$')
end
epoch, number = tonumber(epoch), tonumber(number)
if epoch and (epoch >= BEYOND_EXACT or number >= BEYOND_EXACT) then epoch = nil end
