-- Digests of this database's functions, as multica-rollup takes them to know an engine it may replace.
-- Output: name, sha256 of the body as UTF-8, hex. Functions of the current schema that speak of usage.
SELECT p.proname, encode(sha256(convert_to(p.prosrc, 'UTF8')), 'hex')
FROM pg_proc p
WHERE p.pronamespace = current_schema()::regnamespace
  AND p.proname LIKE '%task\_usage\_h%'
ORDER BY p.proname
