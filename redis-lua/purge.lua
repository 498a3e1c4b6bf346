#!lua flags=allow-oom
-- SPDX-License-Identifier: MIT
-- purge: from now on nothing counts that was asked for before.
-- Guarantee: one write for each key, however many entries it concerns; what is stored later, of a request that was forwarded before,
-- does not count either. A URL of which Redis keeps nothing takes no write: none of its entries counts, and no fetch of it is under way that
-- could make one (lease.lua, filled.lua).
-- KEYS: urls, tags, or policies   ARGV: what they are (u, g, p: the whole policy, x: a prefix of it), ms that the longest-lived
--   entry could be there (not u: the URL's state lives as long as them), the prefix (x)
-- Reply: Redis' time in us (I8)
local what, ms, prefix = ARGV[1], ARGV[2], ARGV[3]
local TIME, PREFIXES = 8, 32
local t = call('TIME')
local stamp = pack('<I8', t[1] * 1000000 + t[2])

-- What stands behind the time, unless it is of another type.
local function rest(key)
  local value = try('GET', key)
  return type(value) == 'string' and sub(value, TIME + 1) or '', type(value) == 'string' and sub(value, 1, TIME) or ''
end

-- All of a policy's prefixes but this one, and how many.
local function others(list)
  local kept, n, at = {}, 0, 1
  while at + TIME + 2 <= #list + 1 do
    local len = unpack('<I2', list, at + TIME)
    local last = at + TIME + 1 + len
    if last > #list then break end
    if sub(list, at + TIME + 2, last) ~= prefix then
      n = n + 1
      kept[n] = sub(list, at, last)
    end
    at = last + 1
  end
  return table.concat(kept), n
end

for i = 1, #KEYS do
  local key = KEYS[i]
  if what == 'x' then
    local list, all = rest(key)
    local kept, n = others(list)
    if #all < TIME then all = string.rep(NUL, TIME) end
    if n < PREFIXES then
      call('SET', key, all .. kept .. stamp .. pack('<I2', #prefix) .. prefix, 'PX', ms)
    else
      call('SET', key, stamp, 'PX', ms) -- no room: the policy as a whole
    end
  elseif what == 'u' then
    local names, time = rest(key)
    if #time == TIME then call('SET', key, stamp .. names, 'KEEPTTL') end
  else
    call('SET', key, stamp, 'PX', ms)
  end
end
return stamp
