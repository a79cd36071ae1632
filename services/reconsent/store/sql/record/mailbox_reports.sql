-- :name add
-- Keep reports that name an address; a repeated one adds nothing.
INSERT INTO mailbox_reports (bucket, address_hash, event, occurred_at, provider_id)
SELECT bucket_of_hash(address_hash), address_hash, event, occurred_at, provider_id
FROM unnest(%(address_hash)s::bytea[], %(event)s::text[], %(occurred_at)s::timestamptz[],
            %(provider_id)s::text[]) AS incoming (address_hash, event, occurred_at, provider_id)
ON CONFLICT DO NOTHING
RETURNING address_hash, event, occurred_at, provider_id;

-- :name accepted_for
-- Find the notices that were accepted for mailboxes in some time, and were not delivered, of the
-- accounts that have or had these.
SELECT position::integer, notice_id
FROM listed(%(keys)s::bigint[]) JOIN notices USING (bucket, account_key)
JOIN unnest(%(address_hash)s::bytea[], %(since)s::timestamptz[], %(until)s::timestamptz[])
     WITH ORDINALITY AS reports (address_hash, since, until, position) USING (address_hash)
WHERE state <> 'delivered' AND NOT dead AND accepted_at > since AND accepted_at <= until;

-- :name unsubscribed
-- Find when reports that name mailboxes said that their owners unsubscribed.
SELECT address_hash, occurred_at
FROM mailbox_reports JOIN mailboxes(%(address_hashes)s::bytea[]) USING (bucket, address_hash)
WHERE event = 'unsubscribed';

-- :name had
-- Find which of some mailboxes accounts have.
SELECT DISTINCT address_hash FROM accounts WHERE address_hash = ANY(%(address_hashes)s::bytea[]);
