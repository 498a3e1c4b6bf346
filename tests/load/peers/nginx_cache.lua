-- SPDX-License-Identifier: MIT
-- A cache that several nginx share: answers to GET lie in Redis under their URL, for as long as this says. Bare: no Cache-Control, no Vary,
-- no Age, no conditions, no collapsing, no purge.
local redis = require 'nginx.redis'

local Cache = {}
Cache.__index = Cache

local TTL_S, IDLE_MS, CONNECTIONS = 3600, 60000, 256

function Cache.new(socket)
  return setmetatable({socket = 'unix:' .. socket}, Cache)
end

local function answer(kind, body)
  ngx.header['Content-Type'] = kind
  ngx.header['Content-Length'] = #body
  ngx.print(body)
end

-- Type and body of the application's answer, nil where it may not be stored.
local function fetch()
  local said = ngx.location.capture('/application' .. ngx.var.request_uri)
  if said.status ~= 200 or said.truncated then return ngx.exit(502) end
  return said.header['Content-Type'] or '', said.body
end

function Cache:serve()
  local key = 'c:' .. ngx.var.scheme .. ':' .. ngx.var.http_host .. ngx.var.request_uri
  local r = redis:new()
  r:set_timeout(1000)
  local stored = r:connect(self.socket) and r:get(key)
  if type(stored) == 'string' then
    r:set_keepalive(IDLE_MS, CONNECTIONS)
    local ends = stored:find('\n', 1, true)
    return answer(stored:sub(1, ends - 1), stored:sub(ends + 1))
  end
  local kind, body = fetch()
  if stored and r:set(key, kind .. '\n' .. body, 'EX', TTL_S) then r:set_keepalive(IDLE_MS, CONNECTIONS) end
  return answer(kind, body)
end

return Cache
