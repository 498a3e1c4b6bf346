-- SPDX-License-Identifier: MIT
-- wrk: a POST of 200 bytes to a payments route. wrk [-H HEADER ..] .. URL -- KEYS [BODY]
--   KEYS  0: a key that nobody has used; N: one of N keys, in turn     BODY  bytes of the request's body (200)
local keys, at, prefix, body = 0, 0, '', ''

function init(arguments)
  keys = tonumber(arguments[1] or 0)
  local bytes = tonumber(arguments[2] or 200)
  body = bytes > 40 and '{"amount":1000,"currency":"EUR","note":"' .. string.rep('x', bytes - 42) .. '"}' or string.rep('1', bytes)
  wrk.headers['Content-Type'] = 'application/json'
  prefix = keys == 0 and string.format('%d-%s-', os.time(), tostring({}):sub(8)) or 'among-'
end

function request()
  at = at + 1
  local n = keys == 0 and at or at % keys
  wrk.headers['Idempotency-Key'] = prefix .. n
  return wrk.format('POST', nil, nil, body)
end
