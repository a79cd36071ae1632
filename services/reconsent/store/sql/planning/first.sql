-- :name plan
-- Plan the first notices of all accounts in a range that have none, as the answers say: `number` is
-- that of the account's reach, of whether its cohort is asked anything, and of whether it is informed.
-- Where the asks of some cohorts are unknown, nothing is written, and they are returned. The relay of
-- notices goes through the accounts of a version behind its planning, so no change is logged.
WITH answers AS (
    SELECT * FROM unnest(%(numbers)s::integer[], %(kinds)s::text[], %(states)s::text[],
                         %(suppressions)s::text[]) AS answers (number, kind, state, suppression)
), slice AS MATERIALIZED (
    SELECT reach.bucket, reach.account_key, property, account, reach.holdings_id,
           reach.standing_id, ask_id,
           (
-- :include reach_number
           ) * 4 + (ask_id <> 0)::integer * 2 + (
               reach.account_key > (%(inform_after)s::bigint[])[reach.bucket + 1] OR
-- :include passes_on
           )::integer AS number
    FROM account_reach AS reach
    LEFT JOIN unnest(%(holdings_ids)s::bigint[], %(standing_ids)s::bigint[], %(ask_ids)s::bigint[])
              AS cohorts (holdings_id, standing_id, ask_id)
           ON cohorts.holdings_id = reach.holdings_id AND cohorts.standing_id = reach.standing_id
    WHERE reach.bucket = ANY(%(buckets)s::smallint[]) AND property = ANY(%(properties)s)
      AND reach.account_key > %(after)s AND reach.account_key <= %(upto)s
      AND sets_bucket = ANY(%(buckets)s::smallint[])
      AND sets_key > %(after)s AND sets_key <= %(upto)s
      AND reach.account_key <> ALL(%(with_notices)s::bigint[])
), unknown AS MATERIALIZED (
    SELECT DISTINCT holdings_id, standing_id FROM slice WHERE ask_id IS NULL
), stem AS MATERIALIZED (
    SELECT published, stem, mask FROM notice_stems WHERE version_id = %(version_id)s
), added AS (
    INSERT INTO notices (bucket, account_key, version_id, sequence, notice_id, kind, state,
                         suppression, ask_id)
    SELECT bucket, account_key, %(version_id)s, 1,
           notice_id(published, stem, mask, account_key, property, account, 1), kind, state,
           suppression, CASE WHEN kind = 'choice' THEN ask_id ELSE 0 END
    FROM slice JOIN answers USING (number) CROSS JOIN stem
    WHERE NOT EXISTS (TABLE unknown)
    ORDER BY bucket, account_key
), counted AS (
    INSERT INTO notice_counts (bucket, version_id, kind, state, suppression, notices)
    SELECT bucket, %(version_id)s, kind, state, suppression, sum(accounts)
    FROM (SELECT bucket, number, count(*) AS accounts FROM slice GROUP BY bucket, number)
         AS counts JOIN answers USING (number)
    WHERE NOT EXISTS (TABLE unknown)
    GROUP BY bucket, kind, state, suppression
)
TABLE unknown;
