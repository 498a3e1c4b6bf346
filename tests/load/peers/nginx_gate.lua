-- SPDX-License-Identifier: MIT
-- The gate inside nginx. The answer must be stored before the client sees it, and cosockets do not work in nginx's filters: so the
-- application is asked by a captured subrequest.
local redis = require 'nginx.redis'
local sha256 = require 'nginx.sha256'
local ffi = require 'ffi'

local Gate = {}
Gate.__index = Gate

local LOCK_MS, RECORD_MS, IDLE_MS, CONNECTIONS = '30000', '60000', 60000, 256
local bucket = '60000\0\1\1' .. ffi.string(ffi.new('double[3]', {1, 1e6, 0}), 24)

local function random16()
  local words = ffi.new('uint32_t[4]')
  for i = 0, 3 do words[i] = math.random(0, 2147483647) end
  return ffi.string(words, 16)
end

function Gate.new(socket, gate, complete)
  return setmetatable({socket = 'unix:' .. socket, gate = gate, complete = complete}, Gate)
end

function Gate:connect()
  local r = redis:new()
  r:set_timeout(1000)
  if not r:connect(self.socket) then return nil end
  return r
end

-- The verdict's letter, nil without one.
function Gate:ask(key, mine)
  local r = self:connect()
  local reply = r and r:evalsha(self.gate, 2, 'l:bench', 'k:' .. key, bucket, mine, LOCK_MS)
  if reply then r:set_keepalive(IDLE_MS, CONNECTIONS) end
  return reply and reply:sub(1, 1)
end

function Gate:record(key, mine, body)
  local r = self:connect()
  if not r then return end
  r:init_pipeline(2)
  r:set('t:' .. key, 'C' .. mine:sub(2) .. body, 'PX', RECORD_MS)
  r:evalsha(self.complete, 2, 'k:' .. key, 't:' .. key, mine, RECORD_MS, 'T' .. mine:sub(2))
  if r:commit_pipeline() then r:set_keepalive(IDLE_MS, CONNECTIONS) end
end

function Gate:serve()
  ngx.req.read_body()
  local digest = sha256:new()
  digest:update(ngx.req.get_body_data() or '')
  local key, mine = ngx.var.http_idempotency_key or '', 'P' .. digest:final():sub(1, 16) .. random16()
  local verdict = self:ask(key, mine)
  if verdict ~= 'F' then return ngx.exit(verdict and 409 or 503) end
  local answer = ngx.location.capture('/application/pay', {method = ngx.HTTP_POST, always_forward_body = true})
  self:record(key, mine, answer.body)
  ngx.status = answer.status
  ngx.header['Content-Type'] = answer.header['Content-Type']
  ngx.header['Content-Length'] = #answer.body
  ngx.print(answer.body)
end

return Gate
