-- Incidents that patrol had already read past when 0014 made their table: the same rows its fold makes
-- (services/patrol/history.py), those of the last 112 days. No wayline named a key site before 0014, so
-- there is no visit to any to be found.
INSERT INTO patrol_incident (incident_id, cell_code, reported_at, filed)
SELECT r.data->>'incident_id', r.data->>'cell_code', r.at,
    EXISTS (SELECT FROM ledger f WHERE f.stream = r.stream AND f.kind = 'incident.filed')
FROM ledger r
WHERE r.kind = 'incident.reported'
    AND r.data->>'cell_code' IS NOT NULL
    AND r.data->>'kind' <> 'device_fault'
    AND r.at >= (SELECT max(at) FROM ledger) - interval '112 days'
    AND NOT EXISTS (
        SELECT FROM ledger e WHERE e.stream = r.stream
            AND (e.kind = 'incident.dismissed'
                OR e.kind = 'incident.closed' AND e.data->>'outcome' IN ('false_alarm', 'unfounded'))
    )
ON CONFLICT (incident_id) DO NOTHING;

-- A temporary zone is kept with who announced it, and when.
UPDATE patrol_sky z
SET state = json_build_object(
    'airspace', z.state, 'announced_at', l.at, 'by', l.actor, 'emergency', false)
FROM ledger l
WHERE z.stream LIKE 'airspace/%' AND z.state IS NOT NULL AND l.stream = z.stream
    AND l.version = (
        SELECT max(version) FROM ledger a
        WHERE a.stream = z.stream AND a.kind = 'airspace.announced' AND a.version <= z.version
    );
