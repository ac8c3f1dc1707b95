-- The health of each of our kinds: all follow the same conditions (docs/concepts.md).
if obj.metadata.deletionTimestamp ~= nil then
  return { status = "Progressing", message = "being deleted" }
end
if obj.spec ~= nil and obj.spec.paused then
  return { status = "Suspended", message = "spec.paused is true" }
end
if obj.status == nil or obj.status.conditions == nil then
  return { status = "Progressing", message = "waiting for its first status" }
end
if obj.status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "waiting for a status of what was declared last" }
end

local found = {}
for _, condition in ipairs(obj.status.conditions) do
  found[condition.type] = condition
end
if found.Stalled ~= nil and found.Stalled.status == "True" then
  return { status = "Degraded", message = found.Stalled.message }
end
if found.Ready ~= nil and found.Ready.status == "True" then
  return { status = "Healthy", message = found.Ready.message }
end
return { status = "Progressing", message = found.Ready ~= nil and found.Ready.message or "not ready yet" }
