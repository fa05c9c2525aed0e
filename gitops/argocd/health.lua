-- Health of a ModelRollout: ConfigMap argocd-cm, key resource.customizations.health.modelrollout.dev_ModelRollout
-- The generation comes first: right after a commit, the conditions are still those of the spec before it.
local health = {status = "Progressing", message = "the operator has not looked at it yet"}
local status = obj.status
if status == nil or status.conditions == nil then
  return health
end
if status.observedGeneration ~= obj.metadata.generation then
  health.message = "the operator has not looked at this spec yet"
  return health
end
local conditions = {}
for _, condition in ipairs(status.conditions) do
  conditions[condition.type] = condition
end
local function is_true(kind)
  return conditions[kind] ~= nil and conditions[kind].status == "True"
end
if is_true("Stalled") then
  health.status = "Degraded"
  health.message = conditions["Stalled"].reason .. ": " .. conditions["Stalled"].message
elseif is_true("Held") then
  health.status = "Suspended"
  health.message = conditions["Held"].reason .. ": " .. conditions["Held"].message
elseif is_true("Ready") then
  health.status = "Healthy"
  health.message = conditions["Ready"].message
elseif conditions["Ready"] ~= nil then
  health.message = conditions["Ready"].reason .. ": " .. conditions["Ready"].message
end
return health
