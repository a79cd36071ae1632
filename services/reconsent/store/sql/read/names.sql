-- :name any_account
-- Find out whether an account is known at some properties.
SELECT property FROM accounts WHERE property = ANY(%(properties)s) LIMIT 1;
