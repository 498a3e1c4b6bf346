-- SPDX-License-Identifier: MIT
-- What the scripts do with the slots of concurrency limits that a record holds. One sorted set for each subject: an
-- entry for each execution, its score the moment (us) until which it counts. Stands in lib_record.
--   entry: owner c16, lock_ms I4
--
-- Guarantee: who runs is counted, who does not is not, whichever word of an execution comes first or twice: an
-- entry is its owner's alone, so it is taken and given back as often as somebody likes.
local function slot_key(id)
  local hex = string.gsub(id, '.', function(c) return format('%02x', byte(c)) end)
  return 'once:{' .. sub(hex, 1, 4) .. '}:c:' .. sub(hex, 5)
end

-- A running one counts as long as its key would be busy: until its lease and the grace after it are over. A value of
-- another type must not keep the record's own change back: hence `try`.
local function settle_slots(r)
  local live = r.state == RUNNING or r.state == ANSWERED
  local entry = r.owner .. pack('<I4', r.lock_ms)
  for at = 2, #r.slots, 18 do
    local key = slot_key(sub(r.slots, at, at + 17))
    if not live then
      try('ZREM', key, entry)
    else
      local stay = running_ms(r.lock_ms)
      local until_us = r.lease + floor(r.lock_ms * 1000 / GRACE)
      if type(try('ZADD', key, format('%.0f', until_us), entry)) == 'number' and call('PTTL', key) < stay then
        call('PEXPIRE', key, format('%.0f', stay))
      end
    end
  end
end
