-- Sends the HTTP requests of a file, one after the other and again from the first: `wrk -t1 -s requests.lua URL -- FILE`.
-- They are built beforehand, so that the load generator costs next to nothing on the machine it shares.

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(arguments)
  requests, sent = {}, -1
  local file = assert(io.open(arguments[1], "rb"))
  while true do
    local length = file:read("*n") -- each request after its length and a line break
    if not length then break end
    file:read(1)
    requests[#requests + 1] = file:read(length)
  end
  file:close()
end

function request()
  -- wrk asks for one more at the start, only to look at it.
  sent = sent + 1
  return requests[(math.max(sent, 1) - 1) % #requests + 1]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"sent":%d,"seconds":%.6f,"p50_ms":%.3f,"p99_ms":%.3f,"refused":%d,"broken":%d}\n',
    summary.requests, threads[1]:get("sent"), summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
