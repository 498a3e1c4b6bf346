-- SPDX-License-Identifier: MIT
-- Read once, before HAProxy starts: lists of the site that HAProxy would take and that would do something else than they seem to. They
-- stop it, also `haproxy -c` and a reload. (proxies.lst and monitors.lst are read by HAProxy itself as networks.)
--
--   origins.lst           SCHEME://HOST[:PORT]   as browsers send it: small letters, no path, no star
--   origin-patterns.lst   ^https?://..$          a regular expression of the whole origin; an open end lets strangers in
--   hosts.map             HOST TABLE             TABLE is one of maps/routes.map and maps/patterns.map, or `any`
--
-- After keys.lua, whose gateway_rows() reads lists.

local directory = os.getenv("GW_SITE") or "/etc/haproxy/gateway/site"
local maps = (os.getenv("GW_CONF") or "/etc/haproxy/gateway") .. "/maps"

local function rows(name, f)
    gateway_rows(directory, name, "GW_SITE names the directory of this site's lists", function(line, first, rest)
        local wrong = f(first, rest)
        if wrong then
            error(string.format("%s/%s:%d: %s: %s", directory, name, line, first, wrong), 0)
        end
    end)
end

rows("origins.lst", function(origin, rest)
    local host = origin:gsub(":%d+$", ""):match("^https?://(.+)$")
    if rest ~= "" or not host or not (host:match("^[a-z0-9%.%-]+$") or host:match("^%[[0-9a-f:]+%]$")) then
        return "not as browsers send an origin: http:// or https://, a host in small letters, a port if it is not the usual one, nothing else"
    end
end)

-- An alternative outside of parentheses: ^https://a|https://b$ is open at the end of the first one and in front of the second.
local function forks(pattern)
    return pattern:gsub("\\.", ""):gsub("%[[^%]]*%]", ""):gsub("%b()", ""):find("|", 1, true)
end

rows("origin-patterns.lst", function(pattern, rest)
    if rest ~= "" or not pattern:match("^%^https?%??://.*[^\\]%$$") or forks(pattern) then
        return "not anchored: ^https:// in front and $ at the end, | only in parentheses, or it matches origins of strangers"
    end
end)

local tables = { any = true }
for _, name in ipairs({ "routes.map", "patterns.map" }) do
    gateway_rows(maps, name, "`derive` makes it", function(_, _, route)
        tables[route:match("^[^|]*")] = true
    end)
end
rows("hosts.map", function(host, table)
    if not host:match("^[a-z0-9.-]+$") and not host:match("^%[[0-9a-f:]+%]$") then
        return "no request is of that host: small letters, no port"
    end
    if not tables[table] then
        return "'" .. table .. "' is no table of routes; endpoints.json has them (`table`), or `any`"
    end
end)
