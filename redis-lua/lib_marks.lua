-- SPDX-License-Identifier: MIT
-- lib_limits' limit is more than a plain bucket, or the request is not forwarded. Stands where a limit's `kind` (with
-- its marks), `increment` and `wait` are known.
if marks == empty then marks, touched = {}, {} end
local counts = not reply or band(kind, EACH) ~= 0
local shadow = band(kind, SHADOW) ~= 0
if not counts or increment == 0 then wait = 0 end -- what costs nothing only looks
if not counts or shadow and wait > 0 then
  charged[n] = used[n]
elseif counts then
  touched[g] = true
end
refused = refused or wait > 0 and not shadow
waits[n], marks[n] = wait, kind
