-- Which buttons a ModelRollout has. There is none to approve: an approval would bear Argo CD's name, not the person's.
local status = obj.status or {}
local attempt = status.attempt
local is_under_way = attempt ~= nil and attempt.outcome == nil
local is_promoted = status.phase == "Promoted"
local is_held = status.held ~= nil
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Held" and condition.status == "True" then
    is_held = true
  end
end
local actions = {}
actions["rollback"] = {["disabled"] = not (is_under_way or is_promoted)}
actions["hold"] = {["disabled"] = status.held ~= nil}
actions["resume"] = {["disabled"] = not is_held}
return actions
