-- SPDX-License-Identifier: MIT
-- Files that are served as they are; HAProxy's own `return file` takes none that is larger than a buffer. Read once, at the start.

local DOCS = os.getenv("GW_DOCS") or "/usr/share/doc/spoa-once"
local CONF = os.getenv("GW_CONF") or "/etc/haproxy/gateway"
local PAGES = {
    ["/openapi.json"] = { file = CONF .. "/openapi.json", kind = "application/json" },
    ["/docs/gateway"] = { file = DOCS .. "/gateway.md", kind = "text/plain; charset=utf-8" },
    ["/docs/problems"] = { file = DOCS .. "/problems.md", kind = "text/plain; charset=utf-8" },
}

for _, page in pairs(PAGES) do
    local file = io.open(page.file)
    if not file then
        error(page.file .. " cannot be read; GW_CONF and GW_DOCS say where the gateway and its documentation lie", 0)
    end
    page.text = file:read("a")
    file:close()
end

core.register_service("pages", "http", function(applet)
    local page = PAGES[applet.path]
    applet:set_status(200)
    applet:add_header("content-type", page.kind)
    applet:add_header("content-length", tostring(#page.text))
    applet:start_response()
    applet:send(page.text)
end)
