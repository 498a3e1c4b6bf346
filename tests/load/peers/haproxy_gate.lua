-- SPDX-License-Identifier: MIT
-- The gate inside HAProxy: two actions that speak RESP over HAProxy's own sockets, which are kept for the next one. A bare gate, as all peers.
-- Environment: PEER_REDIS (unix socket), PEER_GATE, PEER_COMPLETE (SHA1 of the loaded scripts).
local address, gate, complete = 'unix@' .. os.getenv('PEER_REDIS'), os.getenv('PEER_GATE'), os.getenv('PEER_COMPLETE')
local LOCK_MS, RECORD_MS = '30000', '60000'
local bucket = '60000\0' .. string.pack('<BBddd', 1, 1, 1, 1e6, 0)
local idle, made = {}, 0

-- One command in RESP.
local function command(...)
  local words = {...}
  for i, word in ipairs(words) do words[i] = '$' .. #word .. '\r\n' .. word .. '\r\n' end
  return '*' .. #words .. '\r\n' .. table.concat(words)
end

-- A status, number or string; nil where the connection or Redis failed.
local function reply(socket)
  local line = socket:receive('*l')
  local kind, rest = (line or '-'):match('^(.)(.-)\r?$')
  if kind == '-' then return nil end
  if kind ~= '$' then return rest end
  local text = socket:receive(tonumber(rest) + 2)
  return text and text:sub(1, -3)
end

-- The last reply to so many commands; nil where one failed, and then the socket is not used again.
local function ask(count, text)
  local socket = table.remove(idle)
  if not socket then
    socket = core.tcp()
    socket:settimeout(1)
    if not socket:connect(address) then return nil end
  end
  local last = socket:send(text) and ''
  for _ = 1, count do last = last and reply(socket) end
  if last then idle[#idle + 1] = socket else socket:close() end
  return last
end

core.register_action('peer_ask', {'http-req'}, function(txn)
  made = made + 1
  local key = txn.sf:req_hdr('idempotency-key')
  local mine = 'P' .. txn.c:digest(txn.sf:req_body(), 'sha256'):sub(1, 16) .. string.pack('<I8I8', made, math.random(0, 0x7fffffff))
  local said = ask(1, command('EVALSHA', gate, '2', 'l:bench', 'k:' .. key, bucket, mine, LOCK_MS))
  if not said then return end
  txn:set_var('txn.act', said:sub(1, 1))
  txn:set_var('txn.key', key)
  txn:set_var('txn.mine', mine)
end)

core.register_action('peer_record', {'http-res'}, function(txn)
  local key, mine = txn:get_var('txn.key'), txn:get_var('txn.mine')
  if not mine then return end
  ask(2, command('SET', 't:' .. key, 'C' .. mine:sub(2) .. txn.sf:res_body(), 'PX', RECORD_MS) ..
    command('EVALSHA', complete, '2', 'k:' .. key, 't:' .. key, mine, RECORD_MS, 'T' .. mine:sub(2)))
end)
