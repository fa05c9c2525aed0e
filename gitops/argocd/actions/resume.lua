-- Puts control.resume into the inbox; the operator acts on it and takes it out.
-- Where admission demands a name and fills in none (Kubernetes 1.30 to 1.35): that of Argo CD's own account, such as
-- "system:serviceaccount:argocd:argocd-server".
local requested_by = nil
if obj.status == nil then
  obj.status = {}
end
if obj.status.control == nil then
  obj.status.control = {}
end
obj.status.control.resume = {reason = "asked for in Argo CD", requestedBy = requested_by}
return obj
