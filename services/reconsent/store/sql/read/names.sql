-- :name any_account
-- Find out whether an account is known at some properties.
SELECT property FROM accounts WHERE property = ANY(%(properties)s) LIMIT 1;

-- :name account
-- Find out whether an account of a name is known at one of some properties.
SELECT property FROM accounts
WHERE property = ANY(%(properties)s) AND account = %(account)s LIMIT 1;
