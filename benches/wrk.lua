-- One line of JSON instead of wrk's text. Nothing runs per request.
done = function(summary, latency)
    local errors = summary.errors
    io.stderr:write(string.format(
        '{"requests": %d, "micros": %d, "p50": %d, "p99": %d, '
        .. '"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}\n',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
