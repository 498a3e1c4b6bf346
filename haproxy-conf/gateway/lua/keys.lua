-- SPDX-License-Identifier: MIT
-- Read once, before HAProxy starts: keys that are too weak stop it, also `haproxy -c` and a reload. Nothing of a key is said, only
-- its name.
--
--   jwt-secrets.map   KID SECRET   at least 256 bits (RFC 7518, 3.2), counted by the letters it is made of: 4 a letter if it
--                                  is hexadecimal, 6 if it is base64, else 8; and not one letter over and over
--   api-keys.map      DIGEST USER:ROLE:TIER   SHA-256 in small hexadecimal letters, never the key itself
--   jwt-keys.map      KID HS256 | RS256:1 | RS256:2 | ES256:1 | ES256:2
--   GW_JWT_RS256_1 ..    a public key in PEM: RSA of at least 2048 bits (RFC 7518, 3.3), or P-256; by the length of what it encodes
--
-- A name that stands twice in one file is a mistake: HAProxy would take the first and forget the other.

local directory = os.getenv("GW_KEYS") or "/etc/haproxy/gateway/keys"
local ROLES = { viewer = true, operator = true, admin = true }
local KEYS = { HS256 = true, ["RS256:1"] = true, ["RS256:2"] = true, ["ES256:1"] = true, ["ES256:2"] = true }
local LEAST_BITS, LEAST_LETTERS = 256, 10

local function refuse(file, line, what)
    error(string.format("%s/%s:%d: %s", directory, file, line, what), 0)
end

-- Calls f(line number, first word, rest) for each row of a list or map; `way_out` is said where it cannot be read.
function gateway_rows(where, file, way_out, f)
    local lines, n = io.open(where .. "/" .. file), 0
    if not lines then
        error(string.format("%s/%s cannot be read; %s", where, file, way_out), 0)
    end
    for line in lines:lines() do
        n = n + 1
        local key, value = line:match("^%s*(%S+)%s*(.-)%s*$")
        if key and key:sub(1, 1) ~= "#" then
            f(n, key, value)
        end
    end
    lines:close()
end

local function rows(file, f)
    local seen = {}
    gateway_rows(directory, file, "GW_KEYS names the directory of keys", function(line, key, value)
        if seen[key] then
            refuse(file, line, string.format("stands in line %d already", seen[key]))
        end
        seen[key] = line
        f(line, key, value)
    end)
end

-- Bytes of a public key in PEM as DER: RSA of 2048 bits has 294, P-256 has 91 (RFC 5280, 4.1; RFC 5480, 2).
local LEAST_DER, MOST_DER = { RS256 = 290, ES256 = 91 }, { RS256 = 4096, ES256 = 91 }

local function check_public(line, kid, variable, kind)
    local file = io.open(os.getenv(variable))
    local text = file and file:read("a") or ""
    local base64 = text:match("^%s*%-%-%-%-%-BEGIN PUBLIC KEY%-%-%-%-%-([%w+/=%s]+)%-%-%-%-%-END PUBLIC KEY")
    if file then
        file:close()
    end
    local size = base64 and #base64:gsub("[%s=]", "") * 3 // 4 or 0
    if size < LEAST_DER[kind] or size > MOST_DER[kind] then
        refuse("jwt-keys.map", line, string.format("%s: %s, which %s names, is no public key (PEM) of %s", kid, os.getenv(variable), variable,
            kind == "RS256" and "RSA with at least 2048 bits" or "P-256"))
    end
end

local function bits_of(secret)
    local each = secret:match("^%x+$") and 4 or secret:match("^[%w+/_=-]+$") and 6 or 8
    return #secret * each
end

local function letters_of(secret)
    local seen, n = {}, 0
    for letter in secret:gmatch(".") do
        n, seen[letter] = n + (seen[letter] and 0 or 1), true
    end
    return n
end

local secrets = {}
rows("jwt-secrets.map", function(line, kid, secret)
    secrets[kid] = true
    if bits_of(secret) < LEAST_BITS then
        refuse("jwt-secrets.map", line, string.format("the secret of %s has less than %d bits (about %d); `openssl rand -base64 48` makes a good one",
            kid, LEAST_BITS, bits_of(secret)))
    end
    if letters_of(secret) < LEAST_LETTERS then
        refuse("jwt-secrets.map", line, string.format("the secret of %s is made of %d letters only", kid, letters_of(secret)))
    end
end)

rows("jwt-keys.map", function(line, kid, key)
    if not KEYS[key] then
        refuse("jwt-keys.map", line, kid .. ": " .. key .. " is none of HS256, RS256:1, RS256:2, ES256:1, ES256:2")
    end
    if key == "HS256" and not secrets[kid] then
        refuse("jwt-keys.map", line, kid .. " has no secret in jwt-secrets.map")
    end
    local variable = "GW_JWT_" .. key:gsub(":", "_")
    if key ~= "HS256" and not os.getenv(variable) then
        refuse("jwt-keys.map", line, kid .. " needs the public key that " .. variable .. " names")
    end
    if key ~= "HS256" then
        check_public(line, kid, variable, key:match("^%w+"))
    end
end)

rows("api-keys.map", function(line, digest, account)
    local user, role, tier = account:match("^([%w._@|-]+):(%l+):(%l+)$")
    if not digest:match("^[0-9a-f]+$") or #digest ~= 64 then
        refuse("api-keys.map", line, "the first word is no SHA-256 digest in small letters (and no key, one hopes)")
    end
    if not user or not ROLES[role] then
        refuse("api-keys.map", line, "behind the digest USER:ROLE:TIER is wanted; ROLE is viewer, operator or admin")
    end
end)
