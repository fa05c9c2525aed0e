-- Puts control.hold into the inbox; the operator acts on it and takes it out.
if obj.status == nil then
  obj.status = {}
end
if obj.status.control == nil then
  obj.status.control = {}
end
obj.status.control.hold = {reason = "asked for in Argo CD"}
return obj
