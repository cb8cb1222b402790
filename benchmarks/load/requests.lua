-- Sends the HTTP requests of a file in order and starts again at the end: `wrk -t1 -s requests.lua URL -- FILE`.
-- The requests are built beforehand because the load generator shares the machine with what it measures.

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(arguments)
  requests, sent = {}, -1
  local file = assert(io.open(arguments[1], "rb"))
  while true do
    local length = file:read("*n") -- each request follows its length and a line feed
    if not length then break end
    file:read(1)
    requests[#requests + 1] = file:read(length)
  end
  file:close()
end

function request()
  -- At start-up wrk calls this once without sending the request.
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
