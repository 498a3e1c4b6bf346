-- SPDX-License-Identifier: MIT
-- Read once, before HAProxy starts: settings that HAProxy would take and that would do something else than they say (GW_LIMITS=false would
-- limit, GW_MAXCONN=lots would not). They stop it, also `haproxy -c` and a reload. All others HAProxy checks itself, where it reads them.

local function whole(least)
    return function(text)
        return text:match("^%d+$") and #text < 10 and tonumber(text) >= least
    end, "a whole number, at least " .. least
end

local function switch(text)
    return text == "on" or text == "off"
end

local function url(text)
    return text:match("^https?://[^%s/]+") ~= nil
end

-- Names, what is right, and how that is said.
local SETTINGS = {
    { { "GW_AUTH", "GW_LIMITS", "GW_IDEMPOTENCY", "GW_BREAKER", "GW_CACHE" }, switch, "on or off" },
    { { "GW_MAXCONN", "GW_BREAKER_FAILURES", "GW_BREAKER_WINDOW", "GW_BREAKER_OPEN", "GW_BREAKER_LONGEST", "GW_BREAKER_PROBES", "GW_SERVER_FAILURES" }, whole(1) },
    { { "GW_CORS_MAX_AGE", "GW_JWT_LEEWAY" }, whole(0) },
    { { "GW_AUTH_URL" }, url, "http:// or https://, a host, a path" },
}

for _, row in ipairs(SETTINGS) do
    local names, right, said = row[1], row[2], row[3]
    for _, name in ipairs(names) do
        local text = os.getenv(name)
        if text and not right(text) then
            error(string.format("%s=%s: wanted is %s", name, text, said), 0)
        end
    end
end
