-- SPDX-License-Identifier: MIT
-- /health and /health/readiness as JSON, /metrics/gateway for what HAProxy's own exporter does not have: the circuit breakers, why requests
-- were refused here, and the auth service.
--
-- A service is `up` if one of its instances is and its breaker is not open, `degraded` if one of them is missing, else `down`.
-- `usable` counts instances that were added at runtime too; Lua is not told of them one by one.
-- HAProxy does not tell when it has last checked an instance: 40-services.cfg notes when one of the service's was.

local STATES = { closed = 0, ["half-open"] = 1, open = 2 }
local REASONS = { "no-credential", "unknown-api-key", "algorithm", "unknown-key", "signature", "claims", "expired", "not-yet", "issuer", "audience",
    "refused-by-service", "auth-service", "role", "foreign-origin", "no-such-path", "no-such-method", "forwarded-for" }

-- Backends whose servers are services: all but ours.
local function services()
    local names = {}
    for name, proxy in pairs(core.backends) do
        if not name:match("^once_") and not name:match("^gw_") and not name:match("^<") and not name:match("^[A-Z]+$") then
            names[#names + 1] = name
        end
    end
    table.sort(names)
    return names
end

local function number(applet, what, key, index)
    return tonumber(applet.c["table_" .. what](applet.c, key, index, "gw_breaker")) or 0
end

local function breaker(applet, name)
    local till = number(applet, "gpt", name, 0)
    local state = till == 0 and "closed" or till > os.time() and "open" or "half-open"
    return { state = state, opened = number(applet, "gpc", name, 3), refused = number(applet, "gpc", name, 4),
        probes = number(applet, "gpc", name, 6), failures = number(applet, "gpc", name, 5) }
end

local function quoted(text)
    return '"' .. tostring(text):gsub('[%c"\\]', "?") .. '"'
end

local function instances(proxy)
    local list, up, all = {}, 0, 0
    local names = {}
    for name in pairs(proxy.servers) do names[#names + 1] = name end
    table.sort(names)
    for _, name in ipairs(names) do
        local server = proxy.servers[name]
        local stats = server:get_stats()
        local maintained = stats.status:match("^MAINT")
        if not (maintained and server:get_addr():match("^<none>")) then
            all = all + 1
            up = up + ((stats.status:match("^UP") or stats.status == "no check") and 1 or 0)
            list[#list + 1] = string.format('{"url":%s,"status":%s,"check":%s,"failed_checks":%d,"changed_s_ago":%d,"weight":%d}',
                quoted("http://" .. server:get_addr()), quoted(stats.status), quoted(stats.check_status or ""),
                tonumber(stats.chkfail) or 0, tonumber(stats.lastchg) or 0, tonumber(stats.weight) or 0)
        end
    end
    return list, up, all
end

local function answer(applet, status, kind, body)
    applet:set_status(status)
    applet:add_header("content-type", kind)
    applet:add_header("cache-control", "no-store")
    applet:add_header("content-length", tostring(#body))
    applet:start_response()
    applet:send(body)
end

-- When one of its instances was last checked (RFC 3339), or null.
local function last_check(applet, name)
    local ms = applet:get_var("proc.checked_" .. name:gsub("-", "_"))
    return ms and quoted(os.date("!%Y-%m-%dT%H:%M:%S", ms // 1000) .. string.format(".%03dZ", ms % 1000)) or "null"
end

-- Everybody may ask, so what was found counts for a second: status and text for each of the two paths.
local kept = { at = 0 }

local function look(applet, now)
    local rows, down = {}, 0
    for _, name in ipairs(services()) do
        local list, up, all = instances(core.backends[name])
        local cb = breaker(applet, name)
        local usable = tonumber(applet.f:nbsrv(name)) or up
        local status = (usable == 0 or cb.state == "open") and "down" or usable < all and "degraded" or "up"
        down = down + (status == "down" and 1 or 0)
        rows[#rows + 1] = string.format('%s:{"status":%s,"last_check":%s,"usable":%d,"instances":[%s],"failures":%d,"breaker":{"state":%s,"opened":%d,"refused":%d}}',
            quoted(name), quoted(status), last_check(applet, name), usable, table.concat(list, ","), cb.failures, quoted(cb.state), cb.opened, cb.refused)
    end
    -- Ready is a gateway that can serve something: that one service is down is no reason to take the gateway away.
    local _, agents = instances(core.backends.once_agents)
    local ready = down < #rows and agents > 0
    local status = down == 0 and agents > 0 and "up" or ready and "degraded" or "down"
    return { at = now, code = ready and 200 or 503, ["/health/readiness"] = string.format('{"status":%s}', quoted(ready and "ready" or "not ready")),
        ["/health"] = string.format('{"status":%s,"agents":%d,"services":{%s}}', quoted(status), agents, table.concat(rows, ",")) }
end

core.register_service("health", "http", function(applet)
    local clock = core.now()
    local now = clock.sec + clock.usec / 1000000
    if math.abs(now - kept.at) >= 1 then
        kept = look(applet, now)
    end
    answer(applet, kept.code, "application/json", kept[applet.path])
end)

core.register_service("metrics", "http", function(applet)
    local out = {}
    local function metric(name, kind, help, samples)
        out[#out + 1] = string.format("# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
        for _, sample in ipairs(samples) do
            out[#out + 1] = string.format("%s%s %d\n", name, sample[1], sample[2])
        end
    end
    local state, opened, refused, probes = {}, {}, {}, {}
    for _, name in ipairs(services()) do
        local cb, label = breaker(applet, name), string.format('{service="%s"}', name)
        state[#state + 1] = { label, STATES[cb.state] }
        opened[#opened + 1] = { label, cb.opened }
        refused[#refused + 1] = { label, cb.refused }
        probes[#probes + 1] = { label, cb.probes }
    end
    local reasons, auth = {}, {}
    for _, reason in ipairs(REASONS) do
        reasons[#reasons + 1] = { string.format('{reason="%s"}', reason), tonumber(applet.c:table_gpc0(reason, "gw_refusals")) or 0 }
    end
    for _, result in ipairs({ "recalled", "asked", "shared", "refused", "failed" }) do
        auth[#auth + 1] = { string.format('{result="%s"}', result), gateway_auth[result] }
    end
    metric("gateway_breaker_state", "gauge", "0 closed, 1 half-open, 2 open.", state)
    metric("gateway_breaker_opened_total", "counter", "Times that a service's breaker has opened from closed.", opened)
    metric("gateway_breaker_probes_total", "counter", "Requests let through to see whether the service is well again.", probes)
    metric("gateway_breaker_refused_total", "counter", "Requests refused by an open breaker.", refused)
    metric("gateway_refused_total", "counter", "Requests refused by the gateway itself: credentials, roles, routes.", reasons)
    metric("gateway_auth_service_total", "counter", "Tokens recalled; questions to the auth service, shared ones, refusals and failures.", auth)
    answer(applet, 200, "text/plain; version=0.0.4", table.concat(out))
end)
