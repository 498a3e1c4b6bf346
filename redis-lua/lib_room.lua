-- SPDX-License-Identifier: MIT
-- What the claim does with slots before it grants: counts them, takes none. Stands where the claim says
-- `-- include lib_room`; no function, as in lib.lua. What is not to be forwarded (`reply` says so already) is refused
-- by no slot.
--
-- An entry counts for as long as its key would be busy: until its lease and the grace after it are over. After an
-- outage all of them count: who runs has had no chance to extend. So a slot is given away too late at the worst.
local counts, mosts -- of each slot: in use before this request, and how many there are
local full, in_use = false, '' -- must the request be refused? what the reply says of the slots
local taken = ''              -- what the record says of the slots that it is to hold (lib.lua)
local grace, outage = 0, false
if slots > 0 then
  counts, mosts, grace = {}, {}, floor(lock_ms * 1000 / GRACE)
  outage = now < contact + grace
end
for i = 1, slots do
  local set = KEYS[groups + has_record + i]
  local most, shadow = unpack('<I4B', ARGV[3], SLOT * (i - 1) + 1)
  mosts[i] = most
  counts[i] = call('ZCOUNT', set, outage and '-inf' or '(' .. format('%.0f', now), '+inf')
  in_use = in_use .. pack('<I4', counts[i])
  if counts[i] < mosts[i] then
    taken = taken .. sub(ARGV[3], SLOT * i - 17, SLOT * i)
  else
    -- A shadow of a full limit takes no slot: a set does not outgrow its limit.
    full = full or shadow == 0 and not reply
    -- The clock stepped back: what was taken before counts no longer than if it were taken now.
    local ahead = call('ZRANGE', set, '(' .. format('%.0f', now + lock_ms * 1000 + grace), '+inf', 'BYSCORE')
    for a = 1, #ahead do
      local lock_us = unpack('<I4', ahead[a], 17) * 1000
      try('ZADD', set, 'LT', format('%.0f', now + lock_us + floor(lock_us / GRACE)), ahead[a])
    end
  end
end
if taken ~= '' then taken = string.char(#taken / 18) .. taken end
