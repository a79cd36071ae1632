-- :name start_pace
-- Let a provider's pace begin with nothing saved up.
INSERT INTO paces (provider, left_now, as_of)
VALUES (%(provider)s, 1, clock_timestamp()) ON CONFLICT DO NOTHING;

-- :name refill
-- Count how many mails a provider may be handed now; what is not used is saved for a second.
UPDATE paces SET
    left_now = least(
        greatest(1, %(per_second)s),
        left_now + %(per_second)s * extract(epoch FROM clock.now - as_of)),
    as_of = clock.now
FROM (SELECT clock_timestamp() AS now) AS clock
WHERE provider = %(provider)s
RETURNING floor(left_now);

-- :name spend
-- Take away what was claimed.
UPDATE paces SET left_now = left_now - %(mails)s WHERE provider = %(provider)s;
