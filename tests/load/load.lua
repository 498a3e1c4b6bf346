-- SPDX-License-Identifier: MIT
-- wrk: POSTs to a payments route, or GETs of pages. wrk [-H HEADER ..] .. URL -- METHOD KEYS [BODY [FIRST]]
--   KEYS   of POST: keys, of GET: URLs. 0: one that nobody has used; N: one of N, in turn
--   BODY   bytes of a POST's body (200)     FIRST  where the turn begins (0)
local keys, at, prefix, body, path = 0, 0, '', '', '/'

function init(arguments)
  wrk.method = arguments[1] or 'POST'
  keys, at = tonumber(arguments[2] or 0), tonumber(arguments[4] or 0)
  prefix = keys == 0 and string.format('%d-%s-', os.time(), tostring({}):sub(8)) or 'among-'
  if wrk.method == 'GET' then
    path = wrk.path .. '?n='
    return
  end
  local bytes = tonumber(arguments[3] or 200)
  body = bytes > 40 and '{"amount":1000,"currency":"EUR","note":"' .. string.rep('x', bytes - 42) .. '"}' or string.rep('1', bytes)
  wrk.headers['Content-Type'] = 'application/json'
end

function request()
  at = at + 1
  local key = prefix .. (keys == 0 and at or at % keys)
  if wrk.method == 'GET' then return wrk.format('GET', path .. key) end
  wrk.headers['Idempotency-Key'] = key
  return wrk.format('POST', nil, nil, body)
end
