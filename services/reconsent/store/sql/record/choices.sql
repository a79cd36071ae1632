-- :name add
-- Add choices of locked accounts to the ledger, numbered after each account's earlier entries; a
-- repeated event adds nothing, and leaves out a number. A copy that came in before all that are known
-- is added beside them, as the item below theirs: the ledger keeps what was recorded, and any number
-- of copies count from the earliest. `early` has the events that counted before they say; each of
-- those has one choice.
WITH added AS (
    INSERT INTO consents (bucket, account_key, entry, answer, data_category, collected_under,
                          data_use, recipient, policy_version, channel, notice_id, text_hash,
                          decided_at, stated_at, event_hash, item)
    SELECT bucket_of(said.account_key), said.account_key,
           coalesce(last.entry, 0) + row_number() OVER (PARTITION BY said.account_key ORDER BY position),
           said.answer, said.data_category, said.collected_under, said.data_use, said.recipient,
           said.policy_version, said.channel, said.notice_id, said.text_hash, said.decided_at,
           said.stated_at, said.event_hash,
           coalesce(known.item - 1, said.item)
    FROM unnest(
        %(account_key)s::bigint[], %(answer)s::text[], %(data_category)s::text[],
        %(collected_under)s::text[], %(data_use)s::text[], %(recipient)s::text[],
        %(policy_version)s::text[], %(channel)s::text[], %(notice_id)s::uuid[],
        %(text_hash)s::text[], %(decided_at)s::timestamptz[], %(stated_at)s::timestamptz[],
        %(event_hash)s::bytea[], %(item)s::smallint[]
    ) WITH ORDINALITY AS said (
        account_key, answer, data_category, collected_under, data_use, recipient, policy_version,
        channel, notice_id, text_hash, decided_at, stated_at, event_hash, item, position)
    LEFT JOIN (
        SELECT bucket, account_key, max(entry) AS entry
        FROM consents JOIN listed(%(account_key)s::bigint[]) USING (bucket, account_key)
        GROUP BY bucket, account_key
    ) AS last ON last.bucket = bucket_of(said.account_key) AND last.account_key = said.account_key
    LEFT JOIN (
        SELECT bucket, account_key, event_hash, min(item) AS item, min(decided_at) AS decided_at
        FROM consents JOIN listed(%(account_key)s::bigint[]) USING (bucket, account_key)
        WHERE event_hash = ANY(%(early)s::bytea[])
        GROUP BY bucket, account_key, event_hash
    ) AS known
      ON known.bucket = bucket_of(said.account_key) AND known.account_key = said.account_key
     AND known.event_hash = said.event_hash AND known.decided_at > said.decided_at
    ORDER BY position
    ON CONFLICT (bucket, account_key, event_hash, item) DO NOTHING
    RETURNING bucket, account_key, entry, event_hash, item
), logged AS (
    INSERT INTO changes (bucket, account_key, stream)
    SELECT bucket, account_key, 'consents' FROM added
)
SELECT account_key, entry, event_hash, item FROM added ORDER BY account_key, entry;
