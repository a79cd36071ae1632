-- What planning has to know of an account, as before but for two things. To mail it makes no
-- difference whether somebody who wants no optional mail says so in the account or to us. And what
-- came back is asked again at another address only, also where the address was not to blame.

CREATE OR REPLACE VIEW situations AS
SELECT
    accounts.account_key, accounts.property, properties.policy, latest.version_id,
    holdings_id, standing_id, status,
    CASE WHEN contact = 'all' AND unsubscribed THEN 'service' ELSE contact END AS contact,
    minor,
    CASE WHEN email IS NULL THEN 'none'
         WHEN complained OR EXISTS (
             SELECT FROM bounced_addresses AS bounced
             WHERE bounced.address_hash = accounts.address_hash) THEN 'bounced'
         ELSE 'ok' END AS address,
    last.notice_id AS last_notice,
    coalesce(last.sequence, 0) AS last_sequence,
    coalesce(last.kind, '') AS last_kind,
    coalesce(last.state, '') AS last_state,
    coalesce(last.ask_id, 0) AS last_ask,
    -- At the address that it went to it is no use to ask again.
    coalesce(last.undelivered AND last.address_hash IS DISTINCT FROM accounts.address_hash, false)
        AS last_undelivered,
    coalesce(last.dead, false) AS last_dead,
    -- An information notice of an earlier version that was never sent passes on to this one.
    coalesce((
        SELECT kind = 'information' AND state IN ('planned', 'due') FROM notices AS earlier
        WHERE earlier.account_key = accounts.account_key
          AND earlier.version_id < latest.version_id AND kind <> 'reminder'
        ORDER BY version_id DESC, sequence DESC LIMIT 1
    ), false) AS passes_on
FROM accounts
JOIN properties USING (property)
JOIN LATERAL (
    SELECT max(version_id) AS version_id FROM policy_versions
    WHERE policy_versions.policy = properties.policy
) AS latest ON true
LEFT JOIN LATERAL (
    SELECT * FROM notices
    WHERE notices.account_key = accounts.account_key
      AND notices.version_id = latest.version_id AND kind <> 'reminder'
    ORDER BY sequence DESC LIMIT 1
) AS last ON true;
