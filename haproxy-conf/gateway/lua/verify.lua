-- SPDX-License-Identifier: MIT
-- The auth service: who is it that this token belongs to?
--
--   recall   the service has said so lately        txn.recalled, txn.user, txn.role, txn.tier
--   verify   asks POST GW_AUTH_URL {"token": ..}   200 {"user", "role", "tier", "exp"}: the same variables, and no txn.error
--                                                  401, 403, 404: txn.error = refused-by-service; all else: txn.error stays
--
-- The rule in front of `verify` sets txn.error: what ends before it says who it is, in whatever way, leaves the gate closed.
--
-- A good answer counts for GW_AUTH_CACHE seconds, never longer than `exp` (its own, or the JWT's) says. Who asks for a token that is
-- being asked for waits for that answer. Tokens are kept as digests only. Bounds: ENTRIES answers in all; TIMEOUT for each question.

local URL = os.getenv("GW_AUTH_URL") or "http://127.0.0.1:9171/verify"

local function setting(name, default)
    local text = os.getenv(name) or default
    if not text:match("^%d+$") then
        error(name .. "=" .. text .. " is no whole number", 0)
    end
    return tonumber(text)
end

local TIMEOUT = setting("GW_AUTH_TIMEOUT", "1000")  -- ms
local KEEP = setting("GW_AUTH_CACHE", "900")        -- s
local ENTRIES = setting("GW_AUTH_CACHE_ENTRIES", "20000")

local ROLES = { viewer = true, operator = true, admin = true }
-- Two generations: when the young one is full, the old one is forgotten at once. No list, no sweep.
local young, old, n = {}, {}, 0
local asked = {} -- digest -> the question that is on its way
gateway_auth = { recalled = 0, asked = 0, shared = 0, refused = 0, failed = 0 }

local function count(what)
    gateway_auth[what] = gateway_auth[what] + 1
end

local function known(digest)
    local user = young[digest] or old[digest]
    return user and user.till > os.time() and user or nil
end

local function keep(digest, user)
    if n >= ENTRIES / 2 then
        old, young, n = young, {}, 0
    end
    if not young[digest] then
        n = n + 1
    end
    young[digest] = user
end

local function digest_of(txn)
    return txn.c:hex(txn.c:sha2(txn:get_var("txn.token"), 256))
end

local function is(txn, user)
    txn:set_var("txn.user", user.user)
    txn:set_var("txn.role", user.role)
    txn:set_var("txn.tier", user.tier)
    txn:unset_var("txn.error")
end

-- What the service says of a user, or nil: letters that cannot be anything else in a header or a log.
local function read_user(txn, body)
    local function text(path, pattern)
        local value = txn.c:json_query(body, path)
        return value and value:match(pattern)
    end
    local user, role = text("$.user", "^[%w._@|-]+$"), text("$.role", "^%l+$")
    local exp = txn.c:json_query(body, "$.exp", "int") or 0
    if not user or #user > 128 or not ROLES[role] then
        return nil
    end
    local till = os.time() + KEEP
    if exp > 0 then
        till = math.min(till, exp)
    end
    return { user = user, role = role, tier = text("$.tier", "^%l+$") or "standard", till = till }
end

-- The answer: a user, or why there is none.
local function ask(txn, token)
    count("asked")
    local answer = core.httpclient():post({ url = URL, timeout = TIMEOUT, headers = { ["content-type"] = { "application/json" },
        ["x-correlation-id"] = { txn:get_var("txn.correlation") } }, body = '{"token":"' .. token .. '"}' })
    if answer and (answer.status == 401 or answer.status == 403 or answer.status == 404) then
        count("refused")
        return { why = "refused-by-service" }
    end
    local user = answer and answer.status == 200 and answer.body and read_user(txn, answer.body)
    if not user then
        count("failed")
        return { why = "auth-service" }
    end
    local expires = txn:get_var("txn.expires")
    if expires then
        user.till = math.min(user.till, tonumber(expires))
    end
    return user
end

-- A sleep, or a message to the agent, leaves its own deadline behind as that of all the rules to come (HAProxy's `analyse_exp`). Once that
-- is past, wait-for-body answers 408 at once, 2.6 spins while a message is on its way, and 3.2 spins for good where it would let other
-- requests run in between. A yield takes back what is past.
local function forget_deadline()
    core.msleep(1)
    core.yield()
end

core.register_action("recall", { "http-req" }, function(txn)
    local user = known(digest_of(txn))
    if user then
        count("recalled")
        is(txn, user)
        txn:set_var("txn.recalled", true)
    end
end)

-- A user, or why there is none: of the cache, if since it was recalled in vain somebody else has been told; of a question that is on its
-- way; else the question is asked.
local function answer_for(txn)
    local digest = digest_of(txn)
    local question, user = asked[digest], known(digest)
    if user then
        return user
    end
    -- (One that is older than any answer belonged to a request that was cut off: nobody will answer it.)
    if question and os.time() - question.began <= 2 * TIMEOUT / 1000 + 1 then
        count("shared")
        local waited = 0
        while not question.answer and waited < 2 * TIMEOUT do
            core.msleep(5)
            waited = waited + 5
        end
    else
        question = { began = os.time() }
        asked[digest] = question
        local done, answer = pcall(ask, txn, txn:get_var("txn.token"))
        question.answer = done and answer or { why = "auth-service" }
        if asked[digest] == question then
            asked[digest] = nil
        end
        if question.answer.user and question.answer.till > os.time() then
            keep(digest, question.answer)
        end
    end
    return question.answer or { why = "auth-service" }
end

core.register_action("verify", { "http-req" }, function(txn)
    local answer = answer_for(txn)
    forget_deadline()
    if answer.user then
        is(txn, answer)
    else
        txn:set_var("txn.error", answer.why)
    end
end)
